// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/train/adamw.hpp>
#include <dchag/train/checkpoint_folder.hpp>

#include <doctest/doctest.h>

#include <csignal>
#include <fcntl.h>
#include <support/faults.hpp>
#include <support/partitioned_model.hpp>
#include <support/sentence.hpp>
#include <support/temporary_folder.hpp>
#include <support/toy_model.hpp>
#include <sys/resource.h>
#include <sys/wait.h>

namespace train_checkpoint_folder {

using namespace dchag;
using namespace dchag::test;
using comm::Communicator;
using detail::FolderLock;

namespace {

using Host = Kokkos::DefaultHostExecutionSpace;
using Contents = std::map<std::string, std::string>;

void wait_for_all(Communicator const& world) {
  comm::all_reduce(world, 0, comm::Reduce::sum);
}

/// Names and bytes of all files, while no rank changes them.
Contents contents_of(Communicator const& world, std::filesystem::path const& folder) {
  Contents contents;
  wait_for_all(world);
  for (auto const& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().filename() != FolderLock::file_name)
      contents[entry.path().filename().string()] = bytes_of(entry.path());
  wait_for_all(world);
  return contents;
}

void change_last_byte(std::filesystem::path const& path) {
  auto bytes = bytes_of(path);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  write_bytes(path, bytes);
}

/// Checkpoints of steps 1 and 2 of a small model, in one layout.
struct Run {
  Run(Communicator const& communicator, std::filesystem::path const& path, CheckpointLayout layout)
      : world(communicator), model(Host(), {communicator.size(), 1, 1}, communicator.rank()),
        folder(communicator, path, 2, layout), shards(layout == CheckpointLayout::shards) {
    for (int step : {1, 2}) save(step);
    wait_for_all(world);
  }
  void save(int step) { folder.save(step, {model, {{"step", step}}}); }
  /// What rank 0 opens first of a step, and a file with values.
  std::filesystem::path first(int step) const {
    return shards ? detail::index_of(folder.path_of(step)) : folder.path_of(step);
  }
  std::filesystem::path values(int step) const {
    return shards ? detail::shard_of(folder.path_of(step), 0, world.size()) : folder.path_of(step);
  }

  Communicator const& world;
  PartitionedModel<Host, float> model;
  CheckpointFolder folder;
  bool shards;
};

CheckpointLayout const layouts[] = {CheckpointLayout::one_file, CheckpointLayout::shards};

} // namespace

TEST_CASE("step_file: knows what the folder writes, exactly") {
  using Kind = detail::StepFile::Kind;
  using State = detail::StepFile::State;
  struct Known {
    char const* name;
    std::int64_t step;
    Kind kind;
    State state;
  };
  std::string const writer = ".0123456789abcdef.unfinished";
  for (auto const& [name, step, kind, state] :
       {Known{"step_00000042.safetensors", 42, Kind::one_file, State::whole},
        Known{"step_123456789.safetensors", 123456789, Kind::one_file, State::whole},
        Known{"step_00000042.safetensors.index.json", 42, Kind::index, State::whole},
        Known{"step_00000042-00002-of-00004.safetensors", 42, Kind::shard, State::whole},
        Known{"step_00000042-00002-of-123456.safetensors", 42, Kind::shard, State::whole},
        Known{"step_00000042.safetensors.superseded", 42, Kind::one_file, State::superseded},
        Known{"step_00000042.safetensors.index.json.superseded", 42, Kind::index, State::superseded},
        Known{"step_00000042.safetensors.unfinished", 42, Kind::one_file, State::unfinished}, // of earlier versions
        Known{"step_00000042-00002-of-00004.safetensors.0123456789abcdef.unfinished", 42, Kind::shard,
              State::unfinished}}) {
    CAPTURE(name);
    auto const file = detail::step_file(name);
    REQUIRE(file.has_value());
    CHECK(file->step == step);
    CHECK(file->kind == kind);
    CHECK(file->state == state);
  }
  for (auto const* name : {"",
                           "step_",
                           ".unfinished",
                           "step_00000042.safetensors.best",
                           "step_00000042.safetensors.bak.superseded",
                           "step_42.safetensors",
                           "step_000000042.safetensors",
                           "step_00000042.safetensors2",
                           "step_x.safetensors",
                           "step_-0000042.safetensors",
                           "step_00000042.safetensors.index.json.gz",
                           "step_00000042-best.safetensors",
                           "step_00000042-2-of-4.safetensors",
                           "step_00000042-00005-of-00004.safetensors",
                           "step_00000042-00000-of-00004.safetensors",
                           "step_00000042-00002-of-00004.safetensors.index.json",
                           "step_00000042-00002-of-00004-of-00004.safetensors",
                           "my_step_00000042.safetensors",
                           " step_00000042.safetensors",
                           "step_99999999999999999999.safetensors",
                           "step_00000042.safetensors.0123456789abcdeF.unfinished",
                           "step_00000042.safetensors.0123.unfinished",
                           "step_00000042.safetensors.superseded.superseded"}) {
    CAPTURE(name);
    CHECK_FALSE(detail::step_file(name).has_value());
  }
}

TEST_CASE("what the system refuses ends the run with its sentence and changes nothing") {
  Communicator const world;
  TemporaryFolder const temporary(world);
  for (auto const layout : layouts) {
    Run run(world, temporary / (layout == CheckpointLayout::shards ? "shards" : "file"), layout);
    auto const before = contents_of(world, run.folder.path_of(0).parent_path());
    auto const folder = run.folder.path_of(0).parent_path().string();
    int const last = world.size() - 1;
    struct Case {
      Fault fault;
      int rank;
      std::string sentence;
    };
    auto const newest = run.first(2).string();
    auto const values = run.values(2).string();
    for (auto const& [fault, rank, sentence] :
         {Case{{"open", newest, EIO}, 0, concat("File: cannot read '", newest, "': Input/output error")},
          Case{{"open", newest, EACCES}, 0, concat("File: cannot read '", newest, "': Permission denied")},
          Case{{"open", newest, EMFILE}, 0, concat("File: cannot read '", newest, "': Too many open files")},
          Case{{"open", newest, ENOENT}, 0, concat("File: cannot read '", newest, "': No such file or directory")},
          Case{{"open", values, ESTALE}, 0, concat("File: cannot read '", values, "': Stale file handle")},
          Case{{"open", values, ENOMEM}, last, concat("File: cannot read '", values, "': Cannot allocate memory")},
          Case{{"stat", newest, EACCES}, 0, concat("File: cannot ask for '", newest, "': Permission denied")},
          Case{
              {"fstat", values, EIO}, 0, concat("File: cannot ask for the size of '", values, "': Input/output error")},
          Case{{"pread", values, EIO},
               0,
               concat("File: cannot read 8 bytes at byte 0 of '", values, "': Input/output error")},
          Case{{"opendir", folder, EMFILE},
               0,
               concat("File: cannot list the folder '", folder, "': Too many open files")},
          Case{{"readdir", folder, EIO},
               0,
               concat("File: cannot list the folder '", folder, "': Input/output error")}}) {
      CAPTURE(sentence);
      std::string found;
      {
        Faults const faults(world.rank() == rank ? std::vector<Fault>{fault} : std::vector<Fault>());
        found = sentence_of<SystemError>([&] { run.folder.newest_complete(); });
      }
      wait_for_all(world);
      CHECK(without_rank(found) == sentence);
      CHECK((found == sentence) == (world.rank() == rank)); // whose it is
      CHECK(contents_of(world, folder) == before);
    }
    // every byte is read in vain, on the rank that has to
    {
      Faults const faults(world.rank() == last ? std::vector<Fault>{{"pread", values, EIO, 0}} : std::vector<Fault>());
      CHECK(sentence_of<SystemError>([&] { run.folder.newest_complete(); }).find("Input/output error") !=
            std::string::npos);
    }
    auto const found = run.folder.newest_complete();
    CHECK(found.path == run.folder.path_of(2));
    CHECK(found.skipped.empty());
    wait_for_all(world);
    CHECK(contents_of(world, folder) == before);
  }
}

TEST_CASE("a folder or a pipe in a file's place, and no more files: errors of the system too") {
  Communicator const world;
  TemporaryFolder const temporary(world);
  CheckpointFolder const folder(world, temporary / "run");
  ToyModel<Host, float> model((Host()));
  folder.save(1, model);
  auto const path = folder.path_of(2);
  auto const sentence = [&] {
    wait_for_all(world);
    auto const found = without_rank(sentence_of<SystemError>([&] { folder.newest_complete(); }));
    wait_for_all(world);
    return found;
  };
  if (world.rank() == 0) std::filesystem::create_directory(path);
  CHECK(sentence() == concat("File: cannot read '", path.string(), "': Is a directory"));
  if (world.rank() == 0) {
    std::filesystem::remove(path);
    CHECK(mkfifo(path.c_str(), 0666) == 0);
  }
  CHECK(sentence() == concat("File: cannot read '", path.string(), "': it is no regular file"));
  if (world.rank() == 0) {
    std::filesystem::remove(path);
    std::filesystem::create_symlink(path, path); // around in a circle
  }
  CHECK(sentence() == concat("File: cannot ask for '", path.string(), "': Too many levels of symbolic links"));
  if (world.rank() == 0) std::filesystem::remove(path);
  rlimit before = {};
  getrlimit(RLIMIT_NOFILE, &before);
  int const free = dup(0); // the first that is not taken
  close(free);
  rlimit none = before;
  none.rlim_cur = static_cast<rlim_t>(free);
  wait_for_all(world); // connections are made by now
  setrlimit(RLIMIT_NOFILE, &none);
  auto const found = without_rank(sentence_of<SystemError>([&] { folder.newest_complete(); }));
  setrlimit(RLIMIT_NOFILE, &before);
  CHECK(found.find("Too many open files") != std::string::npos);
  CHECK(folder.newest_complete().path == folder.path_of(1));
}

TEST_CASE("damage is passed over: a lost shard, a cut file; a format of later versions is none") {
  Communicator const world;
  TemporaryFolder const temporary(world);
  for (auto const layout : layouts) {
    Run run(world, temporary / (layout == CheckpointLayout::shards ? "shards" : "file"), layout);
    auto const values = run.values(2);
    auto const whole = bytes_of(values);
    auto const newest = [&](auto const& damage) {
      wait_for_all(world);
      if (world.rank() == 0) damage();
      wait_for_all(world);
      auto const found = run.folder.newest_complete();
      wait_for_all(world);
      if (world.rank() == 0) write_bytes(values, whole);
      wait_for_all(world);
      CHECK(found.skipped.size() == 1);
      return found.step;
    };
    if (run.shards) CHECK(newest([&] { std::filesystem::remove(values); }) == 1);
    for (std::size_t length : {std::size_t{0}, std::size_t{7}, whole.size() / 2, whole.size() - 1})
      CHECK(newest([&] { std::filesystem::resize_file(values, length); }) == 1);
    CHECK(newest([&] { change_last_byte(values); }) == 1);
    CHECK(run.folder.newest_complete().step == 2);
    wait_for_all(world);

    // A flipped bit in the digit of the format is damage. With the right checksum, it is another format.
    for (auto const& first : {run.first(2), values}) {
      auto const file = bytes_of(first);
      auto later = file;
      std::string const key = "\"dchag.format\":\"";
      later[later.find(key) + key.size()] = '3';
      auto const replace = [&](std::string const& bytes) {
        wait_for_all(world);
        if (world.rank() == 0) write_bytes(first, bytes);
        wait_for_all(world);
      };
      replace(later);
      auto const found = run.folder.newest_complete();
      CHECK(found.step == 1);
      REQUIRE(found.skipped.size() == 1);
      CHECK(without_rank(found.skipped[0]).rfind(concat("load_checkpoint: '", first.string(), "' is damaged: "), 0) ==
            0);
      replace(file);
    }
    CHECK(run.folder.newest_complete().step == 2);
    wait_for_all(world);

    auto later = bytes_of(run.first(2));
    wait_for_all(world);
    std::string const key = "\"dchag.format\":\"";
    later.replace(later.find(key) + key.size(), 1, "2");
    later = detail::with_checksum(later, detail::no_checksum);
    later = detail::with_checksum(later, detail::checksum_digits(detail::checksum_of(0, later.data(), later.size())));
    if (world.rank() == 0) write_bytes(run.first(2), later);
    wait_for_all(world);
    auto const folder = run.folder.path_of(0).parent_path();
    auto const before = contents_of(world, folder);
    CHECK(without_rank(sentence_of([&] { run.folder.newest_complete(); })) ==
          concat("load_checkpoint: '", run.first(2).string(), "' has format 2, expected 1"));
    wait_for_all(world);
    CHECK(contents_of(world, folder) == before);
  }
}

TEST_CASE("calls that are interrupted, or transfer a few bytes, change nothing") {
  Communicator const world;
  TemporaryFolder const temporary(world);
  for (auto const layout : layouts) {
    Run run(world, temporary / (layout == CheckpointLayout::shards ? "shards" : "file"), layout);
    std::string const all = temporary.path().string();
    fill_values(run.model, 3);
    auto const expected = values_of(run.model);
    for (auto const* call : {"open", "pwrite", "fsync", "close", "pread", "fstat", "rename"}) {
      Faults const faults({{call, all, EINTR}});
      run.save(3);
      CHECK(run.folder.newest_complete().step == 3);
    }
    Faults const faults({{"pread", all, 0, 0}, {"pwrite", all, 0, 0}});
    run.save(3);
    fill_values(run.model, 4);
    load_checkpoint(world, *run.folder.newest_complete().path, run.model);
    CHECK(values_of(run.model) == expected);
    CHECK((faults.seen(0) > 100 || faults.seen(1) > 100));
  }
}

TEST_CASE("what fails while a checkpoint is written leaves the others, and nothing unfinished") {
  Communicator const world;
  TemporaryFolder const temporary(world);
  std::set<std::string> names; // of the unfinished files
  for (auto const layout : layouts) {
    Run run(world, temporary / (layout == CheckpointLayout::shards ? "shards" : "file"), layout);
    auto const folder = run.folder.path_of(0).parent_path();
    auto const before = contents_of(world, folder);
    for (auto const* call : {"open", "pwrite", "fsync", "close", "rename"})
      for (int at = 1; at <= 2; ++at) {
        CAPTURE(call);
        std::string sentence;
        {
          bool const rank_0 = std::string(call) == "rename";
          Faults const faults(world.rank() == (rank_0 ? 0 : world.size() - 1)
                                  ? std::vector<Fault>{{call, "step_00000003", EIO, at}}
                                  : std::vector<Fault>());
          sentence = without_rank(sentence_of<SystemError>([&] { run.save(3); }));
        }
        wait_for_all(world);
        if (!sentence.empty()) { // the second may not happen
          CHECK(sentence.rfind("File: cannot ", 0) == 0);
          CHECK(contents_of(world, folder) == before);
          auto const end = sentence.find(".unfinished");
          if (end != sentence.npos) names.insert(sentence.substr(end - 16, 16));
        } else {
          CHECK(at == 2);
          auto const after = contents_of(world, folder);
          if (world.rank() == 0) {
            for (auto const& [name, bytes] : after)
              if (before.count(name) == 0) std::filesystem::remove(folder / name);
            for (auto const& [name, bytes] : before) write_bytes(folder / name, bytes);
          }
          wait_for_all(world);
        }
      }
    CHECK(run.folder.newest_complete().step == 2);
  }
  CHECK(names.size() > 5); // a name of its own for each
}

TEST_CASE("one job has the folder: others are refused on every rank, with who has it, until it ends") {
  Communicator const world;
  TemporaryFolder const temporary(world);
  auto const path = temporary / "run";
  auto const lock_file = path / FolderLock::file_name;
  std::string const in_use = concat("CheckpointFolder: '", path.string(), "' is in use by ");
  ToyModel<Host, float> model((Host()));
  auto const open_and_lock = [&] { // as another process does
    int const file = open(lock_file.c_str(), O_RDWR | O_CLOEXEC);
    struct flock whole = {};
    whole.l_type = F_WRLCK;
    return fcntl(file, F_OFD_SETLK, &whole) == 0 ? file : (close(file), -1);
  };
  {
    CheckpointFolder const folder(world, path);
    CHECK(folder.lock_warning().empty());
    CheckpointFolder const same(world, path); // of the same process
    auto const copy = same;
    copy.save(1, model);
    if (world.rank() == 0) {
      CHECK(bytes_of(lock_file).rfind(concat("process ", getpid(), " on host "), 0) == 0);
      CHECK(open_and_lock() == -1);
    }
    wait_for_all(world);
  }
  wait_for_all(world);
  CHECK(bytes_of(lock_file).empty());
  wait_for_all(world);
  int file = -1;
  if (world.rank() == 0) {
    file = open_and_lock();
    CHECK(file >= 0);
    write_bytes(lock_file, "process 4711 on host node7\n");
  }
  // A folder asks again for 3 s, which one rank alone sits out.
  auto const take = [&] {
    if (world.size() == 1)
      CheckpointFolder(world, path);
    else
      comm::collectively(world, [&] {
        if (world.rank() == 0) FolderLock::of(path, std::chrono::milliseconds(0));
      });
  };
  CHECK(without_rank(sentence_of(take)) ==
        in_use + "process 4711 on host node7, expected a folder that no other job writes to");
  if (world.rank() == 0) CHECK(bytes_of(lock_file) == "process 4711 on host node7\n"); // still
  if (file >= 0) close(file);

  // a job that dies
  if (world.rank() == 0) {
    int ends[2] = {};
    REQUIRE(pipe(ends) == 0);
    pid_t const child = fork();
    if (child == 0) {
      char const done = open_and_lock() >= 0 ? 1 : 0;
      if (write(ends[1], &done, 1) != 1) _exit(1);
      for (;;) pause();
    }
    char done = 0;
    CHECK(read(ends[0], &done, 1) == 1);
    CHECK(done == 1);
    std::string sentence;
    auto const folder_lock = [&] { FolderLock::of(path, std::chrono::milliseconds(0)); };
    CHECK(sentence_of(folder_lock).rfind(in_use, 0) == 0);
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    CHECK(sentence_of(folder_lock).empty());
    close(ends[0]);
    close(ends[1]);
  }

  // the lock file is removed, and taken by another job
  CheckpointFolder const folder(world, path);
  auto const remove_lock = [&] {
    wait_for_all(world);
    if (world.rank() == 0) std::filesystem::remove(lock_file);
  };
  remove_lock();
  folder.save(2, model);
  if (world.rank() == 0) CHECK(open_and_lock() == -1);
  remove_lock();
  if (world.rank() == 0) {
    write_bytes(lock_file, "");
    file = open_and_lock();
    CHECK(file >= 0);
  }
  CHECK(without_rank(sentence_of([&] { folder.save(3, model); })).rfind(in_use + "another job, ", 0) == 0);
  if (world.rank() == 0) close(file);
  folder.save(3, model);
  CHECK(folder.newest_complete().step == 3);
  if (world.rank() == 0) CHECK(open_and_lock() == -1); // it has the lock again
}

TEST_CASE("a lock that fails on the way is given back, and one that never comes is an error") {
  Communicator const world;
  TemporaryFolder const temporary(world);
  auto const path = temporary / "run";
  auto const lock_file = (path / FolderLock::file_name).string();
  auto const sentence = [&](Fault const& fault) {
    Faults const faults({fault});
    return without_rank(sentence_of([&] { CheckpointFolder(world, path); }));
  };
  CHECK(sentence({"stat", lock_file, EACCES}) == concat("File: cannot ask for '", lock_file, "': Permission denied"));
  wait_for_all(world);
  CHECK(sentence({"stat", lock_file, ENOENT, 0}) ==
        concat("CheckpointFolder: '", lock_file,
               "' was removed 5 times while it was being locked, expected a lock file that stays"));
  wait_for_all(world);
  CHECK(sentence_of([&] { CheckpointFolder(world, path); }).empty());
}

TEST_CASE("who only reads takes no lock and makes nothing") {
  Communicator const world;
  TemporaryFolder const temporary(world);
  auto const path = temporary / "run";
  auto const newest = [&] { return CheckpointFolder::newest_complete(world, path); };
  CHECK(without_rank(sentence_of<SystemError>(newest)) ==
        concat("File: cannot list the folder '", path.string(), "': No such file or directory"));
  CHECK_FALSE(std::filesystem::exists(path));
  wait_for_all(world);
  { Run const run(world, path, CheckpointLayout::one_file); }
  wait_for_all(world);
  auto const lock_file = path / FolderLock::file_name;
  int file = -1;
  if (world.rank() == 0) { // another job has the folder
    change_last_byte(path / detail::step_name(2));
    file = open(lock_file.c_str(), O_RDWR | O_CLOEXEC);
    struct flock whole = {};
    whole.l_type = F_WRLCK;
    CHECK(fcntl(file, F_OFD_SETLK, &whole) == 0);
  }
  auto const before = contents_of(world, path);
  auto const found = newest();
  CHECK(found.step == 1);
  CHECK(found.path == path / detail::step_name(1));
  CHECK(found.skipped.size() == 1);
  CHECK(contents_of(world, path) == before);
  if (file >= 0) close(file);
  if (world.rank() == 0) std::filesystem::remove(lock_file);
  wait_for_all(world);
  CHECK(newest().step == 1);
  CHECK_FALSE(std::filesystem::exists(lock_file));
}

TEST_CASE("a file system without locks, or without writing, is told, and the job goes on") {
  Communicator const world;
  TemporaryFolder const temporary(world);
  ToyModel<Host, float> model((Host()));
  auto const leftover = temporary / "step_00000001.safetensors.0123456789abcdef.unfinished";
  if (world.rank() == 0) write_bytes(leftover, "of a job that may live");
  {
    Faults const faults({{"fcntl", FolderLock::file_name, ENOLCK, 0}});
    CheckpointFolder const folder(world, temporary.path());
    CHECK(folder.lock_warning() == concat("CheckpointFolder: '", temporary.path().string(),
                                          "' is not locked (No locks available): that no other job writes to it is for "
                                          "its user to see to"));
    for (int step : {1, 2, 3}) folder.save(step, model);
    CHECK(std::filesystem::exists(leftover));
    CHECK(folder.newest_complete().step == 3);
    wait_for_all(world);
  }
  {
    Faults const faults({{"open", FolderLock::file_name, EROFS}, {"access", temporary.path().string(), EROFS}});
    CheckpointFolder const folder(world, temporary.path());
    CHECK(folder.lock_warning().find("(Read-only file system)") != std::string::npos);
    CHECK(folder.newest_complete().step == 3);
    wait_for_all(world);
  }
  {
    Faults const faults({{"open", FolderLock::file_name, EACCES}}); // in a folder where files may be made
    CHECK(without_rank(sentence_of<SystemError>([&] { CheckpointFolder(world, temporary.path()); })) ==
          concat("File: cannot open the lock '", (temporary / FolderLock::file_name).string(), "': Permission denied"));
  }
  CheckpointFolder const folder(world, temporary.path());
  CHECK(folder.lock_warning().empty());
  folder.save(4, model);
  wait_for_all(world);
  CHECK_FALSE(std::filesystem::exists(leftover)); // its job is dead
}

TEST_CASE("locks that hold on one node only are found in the table of mounts") {
  std::string const table = "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
                            "30 22 0:40 / /home rw - nfs4 server:/home rw,vers=4.2,local_lock=none\n"
                            "31 22 0:41 / /old\\040data rw - nfs server:/old rw,vers=3,nolock,local_lock=all\n"
                            "32 22 0:42 / /scratch rw shared:7 master:2 - lustre mds:/s rw,checksum,localflock\n"
                            "33 32 0:43 / /scratch/tmp rw - tmpfs tmpfs rw\n";
  auto const found = [&](char const* path) { return detail::local_locks(table, path); };
  CHECK(found("/var/run") == "");
  CHECK(found("/home/run") == "");
  CHECK(found("/old data/run") == "local_lock=all");
  CHECK(found("/old data") == "local_lock=all");
  CHECK(found("/old database") == "");
  CHECK(found("/scratch/run") == "localflock");
  CHECK(found("/scratch/tmp/run") == "");
  CHECK(detail::local_locks("", "/run") == "");
  CHECK(detail::local_locks("nonsense\n\n - \n", "/run") == "");
}

TEST_CASE("only files of this library's names are removed or renamed") {
  Communicator const world;
  TemporaryFolder const temporary(world);
  std::vector<std::string> const users{"step_00000001.safetensors.best",
                                       "step_00000001.best.safetensors",
                                       "step_00000001-notes.safetensors.txt",
                                       "step_00000001.safetensors.superseded.bak",
                                       "step_00000009.safetensors.index.json.orig",
                                       "step_1.safetensors",
                                       "notes"};
  std::vector<std::string> const leftovers{
      "step_00000001.safetensors.unfinished", "step_00000009.safetensors.0123456789abcdef.unfinished",
      "step_00000009-00001-of-00002.safetensors.0123456789abcdef.unfinished",
      "step_00000009.safetensors.index.json.0123456789abcdef.unfinished", "step_00000001.safetensors.superseded"};
  for (auto const layout : layouts) {
    Run run(world, temporary / (layout == CheckpointLayout::shards ? "shards" : "file"), layout);
    auto const folder = run.folder.path_of(0).parent_path();
    if (world.rank() == 0) {
      for (auto const& name : users) write_bytes(folder / name, "mine");
      for (auto const& name : leftovers) write_bytes(folder / name, "old");
      std::filesystem::create_directory(folder / "step_00000001-00007-of-00008.safetensors"); // empty
    }
    wait_for_all(world);
    for (int step : {8, 3, 4, 5, 6}) run.save(step);
    wait_for_all(world);
    for (auto const& name : users) CHECK(bytes_of(folder / name) == "mine");
    for (auto const& name : leftovers) CHECK_FALSE(std::filesystem::exists(folder / name));
    CHECK(std::filesystem::exists(folder / "step_00000001-00007-of-00008.safetensors"));
    CHECK_FALSE(std::filesystem::exists(run.first(4)));
    CHECK(run.folder.newest_complete().step == 6);
  }
}

TEST_CASE("an old index that cannot be removed keeps its shards") {
  Communicator const world;
  TemporaryFolder const temporary(world);
  Run run(world, temporary / "run", CheckpointLayout::shards);
  {
    Faults const faults({{"unlink", run.first(1).string(), EPERM, 0}});
    run.save(3);
  }
  CHECK(sentence_of([&] { verify_checkpoint(world, run.folder.path_of(1)); }).empty());
  run.save(4);
  wait_for_all(world);
  CHECK(contents_of(world, temporary / "run").size() == 2 * static_cast<std::size_t>(world.size() + 1));
}

TEST_CASE("the layout changes from run to run") {
  Communicator const world;
  TemporaryFolder const temporary(world);
  PartitionedModel<Host, float> model(Host(), {world.size(), 1, 1}, world.rank());
  auto const path = temporary / "run";
  auto const files = [&] {
    wait_for_all(world);
    auto const count = contents_of(world, path).size();
    wait_for_all(world);
    return count;
  };
  std::size_t const several = static_cast<std::size_t>(world.size() + 1);
  auto const save = [&](int step, CheckpointLayout layout, std::uint64_t seed) {
    CheckpointFolder const folder(world, path, 2, layout);
    fill_values(model, seed);
    auto const expected = values_of(model);
    folder.save(step, {model, {{"step", step}}});
    auto const newest = folder.newest_complete();
    REQUIRE(newest.step == step);
    CHECK(newest.skipped.empty());
    fill_values(model, 99);
    CHECK(load_checkpoint(world, *newest.path, model).get<int>("step") == step);
    CHECK(values_of(model) == expected);
  };
  save(1, CheckpointLayout::one_file, 1);
  save(2, CheckpointLayout::shards, 2);
  save(3, CheckpointLayout::shards, 3); // removes one file
  CHECK(files() == 2 * several);
  save(4, CheckpointLayout::one_file, 4);
  save(5, CheckpointLayout::one_file, 5); // removes several
  CHECK(files() == 2);
  save(5, CheckpointLayout::shards, 6); // the same step in the other layout, twice
  save(5, CheckpointLayout::one_file, 7);
  CHECK_FALSE(std::filesystem::exists(detail::index_of(path / detail::step_name(5))));
  save(6, CheckpointLayout::shards, 8);
  save(2, CheckpointLayout::one_file, 9); // goes back beyond both
  CHECK_FALSE(std::filesystem::exists(path / detail::step_name(5)));
  CHECK_FALSE(std::filesystem::exists(detail::index_of(path / detail::step_name(6))));
}

TEST_CASE("paths hold any bytes") {
  Communicator const world;
  TemporaryFolder const temporary(world);
  auto const odd = temporary / "r\xff\xfe \xe4\n\"'";
  PartitionedModel<Host, float> model(Host(), {world.size(), 1, 1}, world.rank());
  for (auto const layout : layouts) {
    CheckpointFolder const folder(world, odd / (layout == CheckpointLayout::shards ? "shards" : "file"), 2, layout);
    fill_values(model, 1);
    auto const expected = values_of(model);
    folder.save(7, {model, {{"step", 7}}});
    auto const newest = folder.newest_complete();
    REQUIRE(newest.path == folder.path_of(7));
    fill_values(model, 2);
    CHECK(load_checkpoint(world, *newest.path, model).get<int>("step") == 7);
    CHECK(values_of(model) == expected);
  }
  save_checkpoint(world, odd / "\xff.safetensors", model);
  load_checkpoint(world, odd / "\xff.safetensors", model);
  CHECK(without_rank(
            sentence_of([&] { save_checkpoint(world, odd / "\xfe.safetensors", model, CheckpointLayout::shards); })) ==
        "save_checkpoint: the name '\xfe.safetensors' is not UTF-8, expected one that an index of shards can hold");
  wait_for_all(world);
  CHECK(contents_of(world, odd / "shards").size() == static_cast<std::size_t>(world.size() + 1));
  CHECK_FALSE(std::filesystem::exists(odd / "\xfe.safetensors.index.json"));
}

TEST_CASE("folders that are made are brought to the disk, each in the one above it") {
  Communicator const world;
  TemporaryFolder const temporary(world);
  std::string const base = temporary.path().string();
  if (world.rank() == 0) {
    constexpr int never = 1000000;
    Faults const faults({{"mkdir", base, EIO, never}, {"fsync", base, EIO, never}});
    detail::make_folders("test", temporary / "a/b/c");
    CHECK(faults.seen(0) == 3);
    CHECK(faults.seen(1) == 3);
    detail::make_folders("test", temporary / "a/b/c");
    detail::make_folders("test", temporary / "a/b/d/");
    CHECK(faults.seen(1) == 4);
  }
  for (auto const* call : {"mkdir", "fsync"}) {
    Faults const faults({{call, call[0] == 'm' ? base + "/e/f" : base + "/e", EIO}});
    CHECK(without_rank(sentence_of<SystemError>([&] {
            CheckpointFolder(world, temporary / "e/f");
          })).find("Input/output error") != std::string::npos);
    wait_for_all(world);
    if (world.rank() == 0) std::filesystem::remove_all(temporary / "e");
    wait_for_all(world);
  }
}

TEST_CASE("what a header cannot hold is refused before a file is made") {
  Communicator const world;
  TemporaryFolder const temporary(world);
  ToyModel<Host, float> model((Host()));
  auto const refusal = [&](std::string const& text, CheckpointLayout layout) {
    Faults const faults({{"open", temporary.path().string(), EIO, 1000000}});
    auto const sentence = sentence_of([&] {
      save_checkpoint(world, temporary / "c.safetensors", {model, {{"text", text}}}, layout);
    });
    CHECK(faults.seen(0) == 0);
    return sentence;
  };
  for (auto const layout : layouts) CHECK(refusal("\xff", layout) == "a name or text to be stored is not UTF-8");
}

TEST_CASE("sentences stay short, whatever a file or a path says") {
  Communicator const world;
  TemporaryFolder const temporary(world);
  constexpr std::size_t longest = 2048;
  std::string const many(400000, 'n');
  std::string list = "1";
  for (int i = 0; i < 20000; ++i) list += ",1";
  auto const header = [](std::string const& json) {
    std::uint64_t const length = json.size();
    std::string text(8, '\0');
    std::memcpy(text.data(), &length, 8);
    return text + json;
  };
  auto const tensor = [&](std::string const& name, std::string const& dtype, std::string const& shape,
                          std::string const& offsets) {
    return concat('"', name, "\":{\"dtype\":", dtype, ",\"shape\":", shape, ",\"data_offsets\":", offsets, "}");
  };
  std::vector<std::string> const files{
      header("{" + tensor(many, "\"F32\"", "[3]", "[0,8]") + "}"),
      header("{" + tensor("w", "\"" + many + "\"", "[2]", "[0,8]") + "}"),
      header("{" + tensor("w", "\"F32\"", "[2," + list + "]", "[0,4]") + "}") + "1234",
      header("{" + tensor("w", "\"F32\"", "[" + list + "]", "[0,8]") + "}") + "12345678",
      header("{" + tensor("w", "\"F32\"", "[2]", "[" + list + "]") + "}"),
      header("{\"" + many + "\":" + "[" + list + "]}"),
      header("{\"" + many + "\":1,\"" + many + "\":2}"),
      header("{\"__metadata__\":{\"" + many + "\":7}}"),
      header("{\"__metadata__\":[" + list + "]}"),
      header("{\"__metadata__\":{\"dchag.format\":\"" + many + "\"}}"),
      header("{\"__metadata__\":{\"dchag.format\":\"1\",\"dchag.checksum\":\"0000000000000000\",\"dchag.part.w\":\"" +
             many + "\"}," + tensor("w", "\"F32\"", "[2]", "[0,8]") + "}") +
          "12345678"};
  if (world.rank() == 0) {
    for (std::size_t i = 0; i < files.size(); ++i) write_bytes(temporary / concat(i, ".safetensors"), files[i]);
    write_bytes(temporary / "a.safetensors.index.json", "{\"weight_map\":{\"" + many + "\":[" + list + "]}}");
    write_bytes(temporary / "b.safetensors.index.json", "{\"weight_map\":{\"w\":\"" + many + "\"}}");
    write_bytes(temporary / "c.safetensors.index.json", "{\"weight_map\":{\"" + many + "\":\"d.safetensors\"}}");
    std::string tensors;
    for (int i = 0; i < 20; ++i)
      tensors += (i > 0 ? "," : "") + tensor(concat(std::string(1000, 'x'), i), "\"F32\"", "[0," + list + "]", "[0,0]");
    write_bytes(temporary / "d.safetensors", header("{" + tensors + "}"));
  }
  wait_for_all(world);
  ToyModel<Host, float> model((Host()));
  std::vector<std::string> sentences;
  for (std::size_t i = 0; i < files.size(); ++i)
    sentences.push_back(sentence_of([&] { load_checkpoint(world, temporary / concat(i, ".safetensors"), model); }));
  for (auto const* name : {"a", "b", "c", "d"})
    sentences.push_back(sentence_of([&] { load_checkpoint(world, temporary / concat(name, ".safetensors"), model); }));
  std::string deep = temporary.path().string();
  for (int i = 0; i < 20; ++i) deep += "/" + std::string(150, 'p');
  sentences.push_back(sentence_of([&] { load_checkpoint(world, deep, model); }));
  sentences.push_back(sentence_of([&] { save_checkpoint(world, deep, model); }));
  sentences.push_back(sentence_of([&] { CheckpointFolder(world, "/dev/null" + deep); }));
  sentences.push_back(sentence_of([&] { Metadata(Texts{{"a", many}}).get<int>("a"); }));
  sentences.push_back(sentence_of([&] { Metadata(Texts()).get<int>(many); }));
  if (world.size() > 1)
    sentences.push_back(sentence_of([&] {
      comm::require_same(world, "test", {{many, many + (world.rank() == 0 ? "a" : "b")}});
    }));
  for (std::size_t i = 0; i < sentences.size(); ++i) {
    CAPTURE(i);
    CAPTURE(sentences[i].substr(0, 3000));
    CHECK(sentences[i].size() > 40);
    CHECK(sentences[i].size() < longest);
    CHECK(sentences[i].find('\n') == std::string::npos);
  }
}

TEST_CASE("a file of weights alone is read into a model and its new optimizer") {
  Communicator const world;
  TemporaryFolder const temporary(world);
  comm::MeshShape const mesh{1, world.size(), 1};
  PartitionedModel<Host, float> trained(Host(), mesh, world.rank());
  fill_values(trained, 1);
  save_checkpoint(world, temporary / "weights.safetensors", trained);
  for (bool const known : {false, true}) {
    PartitionedModel<Host, float> model(Host(), mesh, world.rank());
    std::erase_if(model.parameters, [](auto& parameter) { return parameter.values().extent(0) == 0; });
    AdamW<Host, float> optimizer(Host(), model);
    AdamW<Host, float> untouched(Host(), model);
    if (known)
      for (auto* both : {&optimizer, &untouched}) {
        fill_gradients(model, 2);
        both->step(Host(), model, 0.0);
      }
    CHECK(without_rank(sentence_of([&] {
            load_checkpoint(world, temporary / "weights.safetensors", {model, optimizer});
          })).find("missing optimizer.first_moment.") != std::string::npos);
    fill_values(model, 3);
    load_checkpoint(world, temporary / "weights.safetensors", {model, optimizer}, {.allow_missing = true});
    auto expected = values_of(trained);
    std::erase_if(expected, [](auto const& entry) { return entry.second.empty(); });
    CHECK(values_of(model) == expected);
    CHECK(optimizer.steps() == (known ? 1 : 0)); // moments and count as they were
    CHECK(state_of(model, optimizer) == state_of(model, untouched));
  }
  // moments without a count of steps stay refused
  if (world.size() == 1) {
    PartitionedModel<Host, float> model(Host(), mesh, world.rank());
    AdamW<Host, float> optimizer(Host(), model);
    SafetensorsHeader header;
    std::string data;
    Checkpoint const checkpoint(model, optimizer);
    for (auto const& array : checkpoint.arrays()) {
      header.tensors.push_back({array.name, array.dtype, array.piece.whole()});
      data.append(array.piece.size() * size_of(array.dtype), '\0');
    }
    auto const head = make_safetensors_header(header);
    write_bytes(temporary / "moments.safetensors", head + data);
    CHECK(sentence_of([&] {
            load_checkpoint(world, temporary / "moments.safetensors", checkpoint, {.allow_missing = true});
          }) == "Metadata: there is no 'dchag.optimizer_steps'");
  }
}

} // namespace train_checkpoint_folder
