// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause

// Checkpoints carry what their model means: another model is refused, channels are matched by name.
#include <dchag/train/adamw.hpp>
#include <dchag/train/checkpoint.hpp>

#include <doctest/doctest.h>

#include <support/partitioned_model.hpp>
#include <support/sentence.hpp>
#include <support/temporary_folder.hpp>

namespace train_description {

using namespace dchag;
using namespace dchag::test;
using comm::Communicator;

namespace {

using Host = Kokkos::DefaultHostExecutionSpace;
using Names = std::vector<std::string>;
using Groups = std::vector<std::vector<std::size_t>>;

struct SensorConfig {
  Names names;
  Groups modules = {}; // of the channels; if empty, one
  int heads = 4;
  bool has_names = true;
  bool place_counts = false;
};

/// What has channels in a model: weights of each, pixels of each, weights of each in the modules, and something else.
/// On a mesh as PartitionedModel.
struct SensorModel {
  using value_type = double;

  explicit SensorModel(SensorConfig sensor, comm::MeshShape shape = {1, 1, 1}, int rank = 0)
      : config(std::move(sensor)) {
    std::size_t const C = config.names.size();
    Range const all{0, C};
    add({.name = "tokenizer.weight", .shape = {C, 3, 4}, .channels = all}, shape, rank, true);
    add({.name = "head.out.bias", .shape = {4 * C}, .channels = all}, shape, rank, false);
    add({.name = "other", .shape = {7}}, shape, rank, false);
    std::size_t begin = 0;
    for (std::size_t g = 0; g < config.modules.size(); ++g)
      for (std::size_t m = 0; m < config.modules[g].size(); ++m) {
        std::size_t const end = begin + config.modules[g][m];
        add({.name = concat("group", g, ".module", m, ".weight"), .shape = {end - begin}, .channels = {begin, end}},
            shape, rank, false);
        begin = end;
      }
  }

  Description describe() const {
    Description description;
    description.set_channels(
        {config.names.size(), config.has_names ? config.names : Names(), config.modules, config.place_counts});
    description.set("patch", 2).set("encoder heads", config.heads).set("norm epsilon", 1e-6);
    return description.note("scalar", "double");
  }

  template <class F>
  void for_each_parameter(F&& f) {
    for (auto& parameter : parameters) f(parameter);
  }

  SensorConfig config;
  std::vector<Parameter<Host, double>> parameters;

private:
  void add(ParameterSpec spec, comm::MeshShape shape, int rank, bool cut) {
    auto const tensors = static_cast<std::size_t>(shape.tensor);
    auto const shards = static_cast<std::size_t>(shape.shard);
    auto const place = static_cast<std::size_t>(rank);
    if (cut && tensors > 1) {
      auto const part = even_part(spec.shape[0], tensors, place % tensors);
      spec.whole = spec.shape;
      spec.begin.assign(spec.shape.size(), 0);
      spec.begin[0] = part.begin;
      spec.shape[0] = part.size();
    }
    auto const run = even_part(spec.box_size(), shards, place / tensors % shards);
    if (run.size() == 0) return;
    if (shards > 1) spec.run = run;
    parameters.emplace_back(Host(), spec, initial::constant(-1));
  }
};

/// The same under names of its own.
struct Renamed : SensorModel {
  using SensorModel::SensorModel;
  template <class F>
  void for_each_parameter(F&& f) {
    for (auto& parameter : parameters) {
      auto spec = parameter.spec();
      spec.name = "our." + spec.name;
      Parameter<Host, double> same(spec, parameter.values(), parameter.gradients());
      f(same);
    }
  }
};

/// Numbers of an array that depend on what the channel is called, not on where it is.
std::vector<double> numbers_of(SensorConfig const& config, ParameterSpec const& spec, std::uint64_t seed) {
  std::size_t const each = spec.whole_size() / std::max<std::size_t>(spec.channels.size(), 1);
  std::vector<double> numbers;
  for (std::size_t i = 0; i < spec.held().size(); ++i) {
    std::size_t const at = index_in_whole(spec, i);
    auto const of = spec.channels.size() > 0 ? config.names.at(spec.channels.begin + at / each) : std::string();
    numbers.push_back(Random(seed, spec.name + "/" + of).normal(at % each));
  }
  return numbers;
}

/// With an optimizer; values and moments are those of the channels' names.
struct Training {
  explicit Training(SensorConfig const& config, comm::MeshShape shape = {1, 1, 1}, int rank = 0)
      : model(config, shape, rank), optimizer(Host(), model) {}

  Training& fill() {
    for (auto& parameter : model.parameters) assign(parameter.values(), numbers_of(model.config, parameter.spec(), 1));
    optimizer.for_each_state([&](ParameterSpec const& spec, auto const& first, auto const& second) {
      assign(first, numbers_of(model.config, spec, 2));
      assign(second, numbers_of(model.config, spec, 3));
    });
    optimizer.set_steps(5);
    return *this;
  }
  Numbers state() { return state_of(model, optimizer); }

  SensorModel model;
  AdamW<Host, double> optimizer;
};

Names letters(std::string const& text) {
  Names names;
  for (char const c : text) names.push_back(std::string(1, c));
  return names;
}

/// The sentence without the rank and the path.
std::string complaint(std::string sentence) {
  auto const at = sentence.find("safetensors' ");
  return at == sentence.npos ? sentence : sentence.substr(at + 13);
}

/// The file of a version that stored no description: without it, and with the checksum of what is left.
void make_old(std::filesystem::path const& from, std::filesystem::path const& to) {
  auto const bytes = bytes_of(from);
  auto const length = safetensors_header_length("old", bytes.substr(0, 8), bytes.size());
  auto header = parse_safetensors_header("old", bytes.substr(8, length), bytes.size());
  REQUIRE(header.metadata.erase("dchag.model") == 1);
  header.metadata["dchag.checksum"] = "0000000000000000";
  auto old = make_safetensors_header(header) + bytes.substr(8 + length);
  auto const sum = detail::checksum_digits(detail::checksum_of(0, old.data(), old.size()));
  write_bytes(to, old.replace(old.find("dchag.checksum\":\"") + 17, 16, sum));
}

} // namespace

TEST_CASE("a description says what it was told, and refuses to say it twice") {
  Description part;
  part.set("encoder heads", 8).set("bias", true).note("scalar", "float");
  Description whole;
  whole.set("patch", 2).set("epsilon", 1e-6).add(part);
  CHECK(whole.get<int>("encoder heads") == 8);
  CHECK(whole.get<bool>("bias"));
  CHECK(whole.get<double>("epsilon") == 1e-6);
  CHECK(whole.settings().front() == Description::Setting{"patch", "2"}); // in order
  CHECK(whole.settings().back().name == "bias");
  CHECK(whole.notes() == part.notes());
  CHECK_THROWS_WITH_AS(whole.add(part), "Description: 'encoder heads' is there twice", Error);
  CHECK_THROWS_WITH_AS(whole.get<int>("depth"), "Description: there is no 'depth'", Error);
  CHECK_THROWS_WITH_AS(whole.get<int>("epsilon"), "Description: 'epsilon' is '1e-06', expected a number that fits",
                       Error);
  auto const channels = [](DescribedChannels const& set) { return [set] { Description().set_channels(set); }; };
  CHECK(sentence_of(channels({3, letters("ab")})) == "Description: there are 2 channel names, expected 3");
  CHECK(sentence_of(channels({3, letters("aba")})) == "Description: two channels are called 'a'");
  CHECK(sentence_of(channels({3, {}, {{1, 1}}})) == "Description: there are 1 channels in no module, expected none");
  CHECK(sentence_of(channels({3, {}, {{1}, {3}}})) == "Description: there is a module of 3 channels, expected 1 to 2");
  CHECK(sentence_of(channels({3, letters("abc"), {{1}, {2}}})).empty());

  auto const described = SensorModel({letters("abc"), {{2, 1}}}).describe();
  CHECK(detail::description_from("f", detail::text_of(described)) == described);
  auto const refused = [](std::string const& text) {
    return sentence_of([&] { detail::description_from("f", text); });
  };
  for (
      auto const* text :
      {"", "{", "[]", "{}", R"({"settings":{"a":1},"notes":{}})", R"({"settings":{},"notes":[1]})",
       R"({"settings":{"a":"1","a":"2"},"notes":{}})", R"({"settings":{},"notes":{},"channels":{}})",
       R"({"settings":{},"notes":{},"channels":{"count":-1,"names":[],"modules":[],"place_counts":true}})",
       R"({"settings":{},"notes":{},"channels":{"count":1,"names":["a","a"],"modules":[],"place_counts":true}})",
       R"({"settings":{},"notes":{},"channels":{"count":3,"names":[],"modules":[[18446744073709551615,4]],"place_counts":true}})"})
    CHECK(refused(text).rfind("load_checkpoint: 'f': 'dchag.model'", 0) == 0);
  CHECK(refused("[]") == "load_checkpoint: 'f': 'dchag.model' is [], expected the description of a model");
}

TEST_CASE("another model is refused with both values, before anything changes") {
  Communicator const world;
  TemporaryFolder const folder(world);
  auto const path = folder / "c.safetensors";
  Training written({.names = letters("abc"), .heads = 4});
  save_checkpoint(world, path, {written.fill().model, written.optimizer});
  Training other({.names = letters("abc"), .heads = 8});
  auto const before = other.state();
  auto const load = [&] { load_checkpoint(world, path, {other.model, other.optimizer}); };
  CHECK(sentence_of(load) ==
        concat("load_checkpoint: '", path.string(), "' was written with encoder heads 4, expected 8"));
  CHECK_THROWS_AS(load(), ShapeError);
  CHECK(other.state() == before);

  load_checkpoint(world, path, {other.model, other.optimizer}, {.may_differ = {"encoder heads"}});
  CHECK(other.state() == written.state());

  // what is the same function, or of parts that only one of them has
  struct Part : SensorModel {
    using SensorModel::SensorModel;
    Description describe() const {
      Description description;
      return description.set("patch", 2).set("decoder heads", 3).note("scalar", "float");
    }
  } part({.names = letters("abc"), .heads = 8});
  CHECK(load_checkpoint(world, path, part).remarks.empty());
  CHECK(values_of(part) == values_of(written.model));
}

TEST_CASE("channels in another order are put right, moments too, on every mesh and from every layout") {
  Communicator const world;
  TemporaryFolder const folder(world);
  SensorConfig const stored{letters("abcdefghij"), {{3, 2}, {4, 1}}};
  SensorConfig const other{letters("bcaedihgfj"), stored.modules}; // each in its module
  auto const meshes = meshes_of(world.size());
  std::string bytes;
  for (auto const layout : {CheckpointLayout::one_file, CheckpointLayout::shards})
    for (std::size_t writer = 0; writer < meshes.size(); ++writer) {
      auto const path = folder / concat(static_cast<int>(layout), "-", writer, ".safetensors");
      Training written(stored, meshes[writer], world.rank());
      save_checkpoint(world, path, {written.fill().model, written.optimizer, {{"step", 3}}}, layout);
      if (layout == CheckpointLayout::one_file) {
        if (bytes.empty()) bytes = bytes_of(path);
        CHECK(bytes_of(path) == bytes); // the description included
      }
      bool equal = true;
      for (auto const& mesh : meshes) {
        Training own(other, mesh, world.rank());
        Training read(other, mesh, world.rank());
        auto const loaded = load_checkpoint(world, path, {read.model, read.optimizer});
        equal = equal && read.state() == own.fill().state() && read.optimizer.steps() == 5;
        equal = equal &&
                loaded.remarks ==
                    Names{concat("'", path.string(), "' has the channels in another order: they are matched by name")};
        equal = equal && loaded.get<int>("step") == 3;
        Training same(stored, mesh, world.rank());
        equal = equal && load_checkpoint(world, path, {same.model, same.optimizer}).remarks.empty();
        equal = equal && same.state() == Training(stored, mesh, world.rank()).fill().state();
      }
      CHECK(equal);

      auto const info = read_metadata(world, path);
      CHECK(info.metadata.texts() == Texts{{"step", "3"}});
      REQUIRE(info.description.has_value());
      CHECK(*info.description == SensorModel(stored).describe());
      CHECK(info.description->channels().names == stored.names);
    }
}

TEST_CASE("a channel that would come into another module is refused") {
  Communicator const world;
  TemporaryFolder const folder(world);
  auto const path = folder / "c.safetensors";
  SensorModel written({letters("abcdef"), {{2, 1}, {3}}});
  save_checkpoint(world, path, written);
  auto const refused = [&](SensorConfig const& config) {
    SensorModel model(config);
    auto const before = values_of(model);
    auto const sentence = sentence_of([&] { load_checkpoint(world, path, model); });
    CHECK(values_of(model) == before);
    return complaint(sentence);
  };
  std::string const why = ": what the model computes depends on that";
  CHECK(refused({letters("abdcef"), written.config.modules}) ==
        "was written with channel 'd' in group 1, module 0, expected group 0, module 1" + why);
  CHECK(refused({letters("acbdef"), written.config.modules}) ==
        "was written with channel 'c' in group 0, module 1, expected group 0, module 0" + why);
  CHECK(refused({letters("bafedc"), {{2}, {4}}}) ==
        "was written with 2 modules for the channels of group 0, expected 1");
  CHECK(refused({letters("badcef"), {{6}}}) == "was written with channels in 2 groups, expected 1");
  SensorConfig counting{letters("bacdef"), written.config.modules};
  CHECK(refused(counting).empty());
  counting.place_counts = true;
  CHECK(refused(counting) ==
        "was written with channel 'b' in group 0, module 0, place 1, expected group 0, module 0, place 0" + why);
}

TEST_CASE("channels that are missing or unexpected are named, and are left out where the options say so") {
  Communicator const world;
  TemporaryFolder const folder(world);
  auto const path = folder / "c.safetensors";
  auto const load = [&](Training& read, LoadOptions const& options) {
    return load_checkpoint(world, path, {read.model, read.optimizer}, options);
  };
  auto const complaint_of = [&](Training& read, LoadOptions const& options) {
    return complaint(sentence_of([&] { load(read, options); }));
  };
  SensorConfig const stored{letters("abcdef"), {{3}, {3}}};
  Training written(stored);
  save_checkpoint(world, path, {written.fill().model, written.optimizer});
  for (auto const& mesh : meshes_of(world.size())) {
    Training some({letters("cbe"), {{2}, {1}}}, mesh, world.rank());
    CHECK(complaint_of(some, {}) == "does not fit the model: unexpected channels a; d; f");
    CHECK(complaint_of(some, {.allow_missing = true}) == "does not fit the model: unexpected channels a; d; f");
    load(some, {.allow_unexpected = true});
    CHECK(some.state() == Training(some.model.config, mesh, world.rank()).fill().state());

    Training more({letters("xacbydezf"), {{5}, {4}}}, mesh, world.rank());
    CHECK(complaint_of(more, {}) == "does not fit the model: missing channels x; y; z");
    CHECK(complaint_of(more, {.allow_unexpected = true}) == "does not fit the model: missing channels x; y; z");
    auto expected = Training(more.model.config, mesh, world.rank()).fill().state();
    for (auto& parameter : more.model.parameters) { // x, y, z keep their values, and moments of 0
      auto const& spec = parameter.spec();
      for (std::size_t i = 0; i < spec.held().size() && spec.channels.size() > 0; ++i) {
        auto const channel = spec.channels.begin + index_in_whole(spec, i) / (spec.whole_size() / spec.channels.size());
        if (more.model.config.names[channel] < "x") continue;
        expected[spec.name][i] = -1;
        expected["first " + spec.name][i] = expected["second " + spec.name][i] = 0;
      }
    }
    auto const loaded = load(more, {.allow_missing = true});
    CHECK(more.state() == expected);
    CHECK(loaded.remarks.back() ==
          concat("'", path.string(), "' does not have all channels, which keep their values: x; y; z"));
  }
  Training both({letters("xbc"), {{3}, {}}});
  CHECK(complaint_of(both, {}) == "does not fit the model: missing channels x | unexpected channels a; d; e; f");
}

TEST_CASE("channels without names are counted") {
  Communicator const world;
  TemporaryFolder const folder(world);
  SensorModel named({letters("abc")}), nameless({.names = letters("abc"), .has_names = false});
  SensorModel four({.names = letters("abcd"), .has_names = false});
  fill_values(named, 1);
  fill_values(nameless, 2);
  save_checkpoint(world, folder / "named.safetensors", named);
  save_checkpoint(world, folder / "nameless.safetensors", nameless);
  auto const load = [&](char const* file, SensorModel& model) {
    std::string text;
    auto const sentence = sentence_of([&] {
      for (auto const& remark : load_checkpoint(world, folder / file, model, {.allow_missing = true}).remarks)
        text += complaint(remark);
    });
    return text + complaint(sentence);
  };
  CHECK(load("nameless.safetensors", nameless).empty());
  CHECK(load("nameless.safetensors", named) ==
        "does not name its channels, the model does: they are taken to be in the same order");
  CHECK(load("named.safetensors", nameless) ==
        "names its channels, the model does not: they are taken to be in the same order");
  CHECK(load("nameless.safetensors", four) == "was written with 3 channels, expected 4");
  CHECK(load("named.safetensors", four) == "was written with 3 channels, expected 4");
  LoadOptions const options{.sources = [](ParameterSpec const& spec) { // the first one twice
    std::size_t const n = spec.whole_size() / 4;
    if (spec.name == "other") return std::vector<StoredPart>{{spec.name}};
    return std::vector<StoredPart>{{spec.name, {0, n}}, {spec.name, {0, 3 * n}}};
  }};
  load_checkpoint(world, folder / "nameless.safetensors", four, options);
  load("nameless.safetensors", nameless);
  auto const three = values_of(nameless).at("head.out.bias");
  std::vector<double> expected(three.begin(), three.begin() + 4);
  expected.insert(expected.end(), three.begin(), three.end());
  CHECK(values_of(four).at("head.out.bias") == expected);
}

TEST_CASE("files of before, and of other programs, are read, and one sentence says what was not compared") {
  Communicator const world;
  TemporaryFolder const folder(world);
  auto const path = folder / "old.safetensors";
  Training written({letters("abc")});
  save_checkpoint(world, folder / "c.safetensors", {written.fill().model, written.optimizer, {{"step", 3}}});
  if (world.rank() == 0) make_old(folder / "c.safetensors", path);
  verify_checkpoint(world, path); // and waits for it
  Training read({.names = letters("cab"), .heads = 8});
  auto const loaded = load_checkpoint(world, path, {read.model, read.optimizer});
  CHECK(loaded.remarks == Names{concat("'", path.string(),
                                       "' does not say what its model means (it is older, or of another program): "
                                       "nothing but names and shapes was compared")});
  CHECK(loaded.texts() == Texts{{"step", "3"}});
  CHECK(read.state() == written.state());
  auto const info = read_metadata(world, path);
  CHECK(!info.description.has_value());
  CHECK(info.metadata.get<int>("step") == 3);
  CHECK(load_checkpoint(world, path, {read.model}, {.sources = renamed({})}).remarks.empty());
  CHECK(sentence_of([&] { read_metadata(world, folder / "none.safetensors"); }).find("none.safetensors") !=
        std::string::npos);
  bool const alone = world.size() == 1;
  CHECK(sentence_of([&] { read_metadata(world, concat("path", world.rank())); }).find("read_metadata: path is") ==
        (alone ? std::string::npos : 0));
}

TEST_CASE("with sources, another order of the same channels is put right") {
  Communicator const world;
  TemporaryFolder const folder(world);
  auto const path = folder / "c.safetensors";
  SensorModel written({letters("abcd")});
  for (auto& parameter : written.parameters)
    assign(parameter.values(), numbers_of(written.config, parameter.spec(), 1));
  save_checkpoint(world, path, written);
  Renamed read({letters("dbac")});
  LoadOptions const options{.sources = [](ParameterSpec const& spec) { // by halves
    auto const name = spec.name.substr(4);
    std::size_t const n = spec.whole_size();
    if (n % 2 == 1) return std::vector<StoredPart>{{name}};
    return std::vector<StoredPart>{{name, {0, n / 2}}, {name, {n / 2, n}}};
  }};
  load_checkpoint(world, path, read, options);
  for (auto const& parameter : read.parameters)
    CHECK(flat(parameter.values()) == numbers_of(read.config, parameter.spec(), 1));
}

TEST_CASE("ranks whose models mean something else are told apart by the setting's name") {
  Communicator const world;
  if (world.size() == 1) return;
  TemporaryFolder const folder(world);
  SensorModel same({letters("abc")});
  save_checkpoint(world, folder / "c.safetensors", same);
  SensorModel model({.names = letters("abc"), .heads = world.rank() == 1 ? 2 : 4});
  CHECK(sentence_of([&] { save_checkpoint(world, folder / "d.safetensors", model); }) ==
        "save_checkpoint: encoder heads is 4 on rank 0 but 2 on rank 1");
  CHECK(sentence_of([&] { load_checkpoint(world, folder / "c.safetensors", model); }) ==
        "load_checkpoint: encoder heads is 4 on rank 0 but 2 on rank 1");
  SensorModel channels({letters(world.rank() == 1 ? "acb" : "abc")});
  CHECK(sentence_of([&] { load_checkpoint(world, folder / "c.safetensors", channels); }) ==
        "load_checkpoint: the name of channel 1 is b on rank 0 but c on rank 1");
}

} // namespace train_description
