// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/train/adamw.hpp>
#include <dchag/train/checkpoint_folder.hpp>

#include <csignal>
#include <support/partitioned_model.hpp>
#include <support/sentence.hpp>
#include <support/spaces.hpp>
#include <support/temporary_folder.hpp>
#include <support/toy_model.hpp>
#include <sys/resource.h>

namespace train_checkpoint_damage {

using namespace dchag;
using namespace dchag::test;
using comm::Communicator;

namespace {

using Host = Kokkos::DefaultHostExecutionSpace;

/// The sentence without what tells an unfinished file of one save from those of others: 16 digits.
std::string without_writer(std::string sentence) {
  auto const at = sentence.find(".unfinished'");
  bool const there = at != sentence.npos && at >= 17 && sentence[at - 17] == '.' &&
                     sentence.find_first_not_of("0123456789abcdef", at - 16) == at;
  return there ? sentence.erase(at - 17, 17) : "no writer in: " + sentence;
}

/// What verifying says, which must be the same as what loading says, and must leave the model alone.
struct Reader {
  explicit Reader(Communicator const& communicator) : world(communicator), model(Host()) {}

  std::string verdict(std::filesystem::path const& path) {
    auto const sentence = sentence_of([&] { verify_checkpoint(world, path); });
    if (!sentence.empty()) {
      auto const before = values_of(model);
      CHECK(sentence_of([&] { load_checkpoint(world, path, model); }) == sentence);
      CHECK(values_of(model) == before);
    }
    return sentence;
  }

  Communicator const& world;
  ToyModel<Host, float> model;
};

/// Flips every bit of a file, one at a time, and counts those that nobody found.
template <class Verdict>
std::size_t unnoticed_flips(std::filesystem::path const& file, Verdict const& verdict) {
  std::size_t unnoticed = 0;
  auto const whole = bytes_of(file);
  std::fstream stream(file,
                      std::ios::binary | std::ios::in | std::ios::out); // cutting it each time would wait for the disk
  auto const put = [&](std::size_t i, int byte) {
    stream.seekp(static_cast<std::streamoff>(i)).put(static_cast<char>(byte)).flush();
  };
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      put(i, whole[i] ^ (1 << bit));
      if (verdict().empty()) ++unnoticed;
    }
    put(i, whole[i]);
  }
  CHECK(bytes_of(file) == whole);
  return unnoticed;
}

/// Files of this process may become no longer than this, as if the disk were full.
class FileSizeLimit {
public:
  explicit FileSizeLimit(rlim_t bytes) : m_handler(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &m_before);
    rlimit limit = m_before;
    limit.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  FileSizeLimit(FileSizeLimit const&) = delete;
  FileSizeLimit& operator=(FileSizeLimit const&) = delete;
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &m_before);
    std::signal(SIGXFSZ, m_handler);
  }

private:
  rlimit m_before = {};
  void (*m_handler)(int);
};

} // namespace

TEST_CASE("every flipped bit is found, in header, numbers and index") {
  Communicator const world;
  if (world.size() > 1) return; // thousands of files, one rank's work
  TemporaryFolder const folder(world);
  Reader reader(world);
  save_checkpoint(world, folder / "c.safetensors", {reader.model, {{"step", 7}}});
  CHECK(reader.verdict(folder / "c.safetensors").empty());
  CHECK(unnoticed_flips(folder / "c.safetensors", [&] { return reader.verdict(folder / "c.safetensors"); }) == 0);
  CHECK(reader.verdict(folder / "c.safetensors").empty());
  save_checkpoint(world, folder / "s.safetensors", reader.model, CheckpointLayout::shards);
  CHECK(reader.verdict(folder / "s.safetensors").empty());
  for (auto const* file : {"s.safetensors.index.json", "s-00001-of-00001.safetensors"})
    CHECK(unnoticed_flips(folder / file, [&] { return reader.verdict(folder / "s.safetensors"); }) == 0);
  CHECK(reader.verdict(folder / "s.safetensors").empty());
}

TEST_CASE("ranks that read a share each find it together") {
  Communicator const world;
  TemporaryFolder const folder(world);
  Reader reader(world);
  auto const path = folder / "c.safetensors";
  save_checkpoint(world, path, {reader.model, {{"step", 7}}});
  auto const whole = bytes_of(path);
  std::size_t const data_begin = whole.size() - 15 * sizeof(float);
  std::size_t unnoticed = 0;
  for (std::size_t i = 0; i < whole.size(); i += i < data_begin ? 29 : 1) {
    comm::all_reduce(world, 0, comm::Reduce::sum);
    auto flipped = whole;
    flipped[i] = static_cast<char>(flipped[i] ^ (1 << i % 8));
    if (world.rank() == 0) write_bytes(path, flipped);
    auto const sentence = reader.verdict(path);
    if (sentence.empty()) ++unnoticed;
    if (i >= data_begin) CHECK(sentence.find("is damaged: its checksum is ") != std::string::npos);
  }
  CHECK(unnoticed == 0);
}

TEST_CASE("a file cut at any length, or grown, is refused") {
  Communicator const world;
  if (world.size() > 1) return; // thousands of files, one rank's work
  TemporaryFolder const folder(world);
  Reader reader(world);
  auto const path = folder / "c.safetensors";
  save_checkpoint(world, path, reader.model);
  auto const whole = bytes_of(path);
  std::size_t accepted = 0;
  for (std::size_t length = whole.size(); length-- > 0;) {
    std::filesystem::resize_file(path, length);
    if (reader.verdict(path).empty()) ++accepted;
  }
  CHECK(accepted == 0);
  write_bytes(path, whole + '\0');
  CHECK(reader.verdict(path).find("but the file has") != std::string::npos);
  write_bytes(path, whole);
  CHECK(reader.verdict(path).empty());
}

TEST_CASE("files that are not there are named on every rank") {
  Communicator const world;
  TemporaryFolder const folder(world);
  Reader reader(world);
  auto const path = folder / "c.safetensors";
  CHECK(without_rank(reader.verdict(path)) ==
        concat("File: cannot read '", path.string(), "': No such file or directory"));
  save_checkpoint(world, path, reader.model, CheckpointLayout::shards);
  CHECK(reader.verdict(path).empty());
  auto const last = concat("c-0000", world.size(), "-of-0000", world.size(), ".safetensors");
  CHECK(folder.names().size() == static_cast<std::size_t>(world.size() + 1));
  comm::all_reduce(world, 0, comm::Reduce::sum);
  if (world.rank() == 0) std::filesystem::remove(folder / last);
  CHECK(without_rank(reader.verdict(path)) ==
        concat("File: cannot read '", (folder / last).string(), "': No such file or directory"));
}

TEST_CASE("shards of two checkpoints are not mixed, and none is replaced") {
  Communicator const world;
  TemporaryFolder const folder(world);
  Reader reader(world);
  save_checkpoint(world, folder / "a.safetensors", reader.model, CheckpointLayout::shards);
  reader.model.for_each_parameter([](auto& p) { Kokkos::deep_copy(p.values(), 1.0f); });
  save_checkpoint(world, folder / "b.safetensors", reader.model, CheckpointLayout::shards);
  CHECK(without_rank(sentence_of([&] {
          save_checkpoint(world, folder / "a.safetensors", reader.model, CheckpointLayout::shards);
        })) == concat("save_checkpoint: '", (folder / "a.safetensors.index.json").string(),
                      "' exists; files of several ranks cannot be replaced at once, expected a name of its own"));
  CHECK(reader.verdict(folder / "a.safetensors").empty());
  comm::all_reduce(world, 0, comm::Reduce::sum);
  auto const shard = concat("-00001-of-0000", world.size(), ".safetensors");
  if (world.rank() == 0)
    std::filesystem::copy_file(folder / ("b" + shard), folder / ("a" + shard),
                               std::filesystem::copy_options::overwrite_existing);
  CHECK(without_rank(reader.verdict(folder / "a.safetensors")) ==
        concat("load_checkpoint: '", (folder / "a.safetensors.index.json").string(), "' and 'a", shard,
               "' are not of one checkpoint"));
}

TEST_CASE("a full disk, no such folder, no right: one sentence on every rank, the older checkpoint stays") {
  Communicator const world;
  TemporaryFolder const folder(world);
  auto const path = folder / "c.safetensors";
  comm::MeshShape const mesh{world.size(), 1, 1};
  PartitionedModel<Host, float> model(Host(), mesh, world.rank(), 100);
  fill_values(model, 1);
  save_checkpoint(world, path, model);
  auto const names = folder.names();
  auto const before = bytes_of(path);
  fill_values(model, 2);
  for (auto const layout : {CheckpointLayout::one_file, CheckpointLayout::shards}) {
    std::string sentence;
    {
      FileSizeLimit const limit(4096);
      sentence = without_rank(sentence_of([&] { save_checkpoint(world, path, model, layout); }));
    }
    CHECK(sentence.rfind("File: cannot write ", 0) == 0);
    CHECK(sentence.find(".unfinished': File too large") != std::string::npos);
    comm::all_reduce(world, 0, comm::Reduce::sum);
    CHECK(folder.names() == names);
    CHECK(bytes_of(path) == before);
    CHECK(sentence_of([&] { verify_checkpoint(world, path); }).empty());
  }
  CHECK(without_writer(without_rank(sentence_of([&] {
          save_checkpoint(world, folder / "no/c.safetensors", model);
        }))) == concat("File: cannot create '", (folder / "no/c.safetensors.unfinished").string(),
                       "': No such file or directory"));
  CHECK(without_writer(without_rank(sentence_of([&] { save_checkpoint(world, path / "c.safetensors", model); }))) ==
        concat("File: cannot create '", (path / "c.safetensors.unfinished").string(), "': Not a directory"));
  if (geteuid() != 0) { // root may write everywhere
    comm::all_reduce(world, 0, comm::Reduce::sum);
    if (world.rank() == 0)
      std::filesystem::permissions(folder.path(),
                                   std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec);
    CHECK(without_writer(without_rank(sentence_of([&] { save_checkpoint(world, folder / "d.safetensors", model); }))) ==
          concat("File: cannot create '", (folder / "d.safetensors.unfinished").string(), "': Permission denied"));
    comm::all_reduce(world, 0, comm::Reduce::sum);
    if (world.rank() == 0) std::filesystem::permissions(folder.path(), std::filesystem::perms::owner_all);
  }
}

TEST_CASE("CheckpointFolder: keeps the newest, and goes back to the newest that is whole") {
  Communicator const world;
  TemporaryFolder const temporary(world);
  for (auto const layout : {CheckpointLayout::one_file, CheckpointLayout::shards}) {
    bool const shards = layout == CheckpointLayout::shards;
    auto const path = temporary / (shards ? "shards" : "files");
    CheckpointFolder const folder(world, path, 3, layout);
    CHECK_FALSE(folder.newest_complete().path.has_value());
    ToyModel<Host, float> model((Host()));
    for (int step : {1, 9, 10, 123456789}) folder.save(step, {model, {{"step", step}}});
    auto newest = folder.newest_complete();
    CHECK(newest.path == folder.path_of(123456789));
    CHECK(newest.step == 123456789);
    CHECK(newest.skipped.empty());
    CHECK_FALSE(std::filesystem::exists(shards ? detail::index_of(folder.path_of(1)) : folder.path_of(1)));
    auto const files = std::distance(std::filesystem::directory_iterator(path), {});
    CHECK(files == 3 * (shards ? world.size() + 1 : 1) + 1); // and the lock

    comm::all_reduce(world, 0, comm::Reduce::sum);
    auto const broken =
        shards ? detail::shard_of(folder.path_of(123456789), 0, world.size()) : folder.path_of(123456789);
    if (world.rank() == 0) {
      auto bytes = bytes_of(broken);
      bytes.back() = static_cast<char>(bytes.back() ^ 1);
      write_bytes(broken, bytes);
      write_bytes(path / "step_00000011.safetensors.unfinished", "half");
      write_bytes(path / "step_00000012.safetensors", "half");
      write_bytes(path / "step_x.safetensors", "of somebody else");
    }
    comm::all_reduce(world, 0, comm::Reduce::sum);
    newest = folder.newest_complete();
    CHECK(newest.path == folder.path_of(10));
    REQUIRE(newest.skipped.size() == 2);
    CHECK(newest.skipped[0].find(concat("'", broken.string(), "' is damaged")) != std::string::npos);
    CHECK(newest.skipped[1].find("step_00000012.safetensors': the file has 4 bytes") != std::string::npos);
    ToyModel<Host, float> read((Host()));
    CHECK(load_checkpoint(world, *newest.path, read).get<int>("step") == 10);
    folder.save(11, model); // over what a run left that was stopped
    CHECK(sentence_of([&] { verify_checkpoint(world, folder.path_of(11)); }).empty());
    CHECK(std::filesystem::exists(path / "step_x.safetensors"));
    CHECK(folder.newest_complete().path == folder.path_of(11));
    CHECK(folder.newest_complete().skipped.empty()); // 12 and 123456789 are set aside
  }
  CHECK(sentence_of([&] { CheckpointFolder(world, temporary / "f", 1); }) ==
        "CheckpointFolder: keeps 1 checkpoints, expected at least 2");
  if (world.rank() == 0) write_bytes(temporary / "f", "");
  CHECK(without_rank(sentence_of([&] {
          CheckpointFolder(world, temporary / "f");
        })).rfind(concat("CheckpointFolder: cannot make the folder '", (temporary / "f").string(), "': "), 0) == 0);
}

TEST_CASE("CheckpointFolder: a run that goes back loses neither what it saves nor what was there") {
  Communicator const world;
  TemporaryFolder const temporary(world);
  ToyModel<Host, float> model((Host()));
  for (auto const layout : {CheckpointLayout::one_file, CheckpointLayout::shards}) {
    bool const shards = layout == CheckpointLayout::shards;
    auto const path = temporary / (shards ? "shards" : "files");
    CheckpointFolder const folder(world, path, 2, layout);
    auto const file_of = [&](int step) {
      return shards ? detail::shard_of(folder.path_of(step), 0, world.size()) : folder.path_of(step);
    };
    auto const is_there = [&](int step, char const* ending) {
      comm::all_reduce(world, 0, comm::Reduce::sum);
      return std::filesystem::exists(file_of(step).string() + ending);
    };
    auto const load_step = [&](std::filesystem::path const& file) {
      return load_checkpoint(world, file, model).get<std::string>("step");
    };
    for (int step : {2500, 3000}) folder.save(step, {model, {{"step", "of another run"}}});

    folder.save(500, {model, {{"step", "500"}}});
    CHECK(folder.newest_complete().path == folder.path_of(500));
    for (int step : {2500, 3000}) CHECK(is_there(step, ".superseded"));
    folder.save(1000, {model, {{"step", "1000"}}});
    folder.save(1500, {model, {{"step", "1500"}}});
    CHECK_FALSE(is_there(500, ""));

    // both that are kept are damaged: what the run saves next, from an older one or from the start, stays
    comm::all_reduce(world, 0, comm::Reduce::sum);
    if (world.rank() == 0)
      for (int step : {1000, 1500}) write_bytes(file_of(step), "half");
    comm::all_reduce(world, 0, comm::Reduce::sum);
    CHECK_FALSE(folder.newest_complete().path.has_value());
    CHECK(folder.newest_complete().skipped.size() == 2);
    folder.save(900, {model, {{"step", "900"}}});
    CHECK(folder.newest_complete().path == folder.path_of(900));
    folder.save(1000, {model, {{"step", "1000 again"}}}); // in the place of what was damaged
    auto const newest = folder.newest_complete();
    REQUIRE(newest.path == folder.path_of(1000));
    CHECK(newest.skipped.empty());
    CHECK(load_step(*newest.path) == "1000 again");
    CHECK(load_step(folder.path_of(900)) == "900");
    CHECK(is_there(1500, ".superseded"));

    // one damaged below what is saved next is not counted as kept
    comm::all_reduce(world, 0, comm::Reduce::sum);
    if (world.rank() == 0) write_bytes(file_of(1000), "half");
    comm::all_reduce(world, 0, comm::Reduce::sum);
    CHECK(folder.newest_complete().path == folder.path_of(900));
    folder.save(1100, {model, {{"step", "1100"}}});
    CHECK(is_there(900, ""));
    CHECK(is_there(1000, ".superseded"));

    for (int step : {3500, 4000}) folder.save(step, {model, {{"step", step}}});
    for (int step : {1000, 1500, 2500, 3000}) CHECK_FALSE(is_there(step, ".superseded")); // older than all that is kept
    comm::all_reduce(world, 0, comm::Reduce::sum);
    CHECK(std::distance(std::filesystem::directory_iterator(path), {}) == 2 * (shards ? world.size() + 1 : 1) + 1);
  }
}

} // namespace train_checkpoint_damage
