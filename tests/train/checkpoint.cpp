// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/train/adamw.hpp>
#include <dchag/train/checkpoint.hpp>

#include <support/partitioned_model.hpp>
#include <support/sentence.hpp>
#include <support/spaces.hpp>
#include <support/temporary_folder.hpp>
#include <support/toy_model.hpp>

namespace train_checkpoint {

using namespace dchag;
using namespace dchag::test;
using comm::Communicator;

namespace {

using Host = Kokkos::DefaultHostExecutionSpace;

/// A model with an optimizer that made some steps; a parameter bound to nothing is left out of the optimizer.
template <class Space, class T>
struct Training {
  Training(comm::MeshShape shape, int rank) : model(Space(), shape, rank) {
    std::erase_if(model.parameters, [](auto& parameter) { return parameter.values().extent(0) == 0; });
    optimizer.emplace(Space(), model);
  }
  void steps(std::uint64_t first, std::uint64_t last) {
    for (auto step = first; step < last; ++step) {
      fill_gradients(model, 100 + step);
      optimizer->step(Space(), model, 0.01);
    }
    Kokkos::fence();
  }
  Numbers state() { return state_of(model, *optimizer); }

  PartitionedModel<Space, T> model;
  std::optional<AdamW<Space, T>> optimizer;
};

/// A model of parameters with these shapes.
struct Shapes {
  using value_type = float;
  explicit Shapes(std::vector<std::pair<std::string, std::vector<std::size_t>>> const& list) {
    for (auto const& [name, shape] : list)
      parameters.emplace_back(Host(), ParameterSpec{.name = name, .shape = shape}, initial::constant(-1));
  }
  template <class F>
  void for_each_parameter(F&& f) {
    for (auto& parameter : parameters) f(parameter);
  }
  std::vector<Parameter<Host, float>> parameters;
};

} // namespace

TEST_CASE("Piece: its runs are the values that whole_index says") {
  for (auto const& spec : std::vector<ParameterSpec>{
           {.name = "w", .shape = {2, 2}, .whole = {3, 4}, .begin = {1, 1}},
           {.name = "w", .shape = {2, 4}, .whole = {3, 4}, .begin = {1, 0}, .run = {3, 7}},
           {.name = "w", .shape = {2, 3, 2, 5}, .whole = {4, 3, 4, 5}, .begin = {1, 0, 2, 0}, .run = {4, 51}},
           {.name = "w", .shape = {2, 3, 1}, .whole = {2, 3, 4}, .begin = {0, 0, 3}},
           {.name = "w", .shape = {5, 1}, .run = {1, 2}}}) {
    detail::Piece const piece(spec);
    std::size_t next = 0, end = 0;
    bool right = true;
    piece.for_each_run([&](auto const& run) {
      right =
          right && run.local == next && run.size > 0 && (next == 0 || run.whole > end); // ascending, and the longest
      for (std::size_t i = 0; i < run.size; ++i, ++next)
        right = right && run.whole + i == spec.whole_index(spec.held().begin + next);
      end = run.whole + run.size;
    });
    CHECK(right);
    CHECK(next == spec.held().size());
    CHECK(detail::Piece::from_json("w", piece.to_json()) == piece);
  }
}

TEST_CASE_TEMPLATE("what one mesh writes every other reads, bit for bit", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Communicator const world;
  auto const self = Communicator::self();
  TemporaryFolder const folder(world);
  int const rank = world.rank();
  Training<Space, T> one({1, 1, 1}, 0);
  one.steps(0, 3);
  save_checkpoint(self, folder / concat("one", rank, ".safetensors"), {one.model, *one.optimizer, {{"step", 3}}});
  auto const expected = bytes_of(folder / concat("one", rank, ".safetensors"));
  REQUIRE(expected.size() > 1000);
  auto const meshes = meshes_of(world.size());
  for (auto const layout : {CheckpointLayout::one_file, CheckpointLayout::shards})
    for (std::size_t writer = 0; writer < meshes.size(); ++writer) {
      bool const shards = layout == CheckpointLayout::shards;
      auto const path = folder / concat(shards ? "shards" : "file", writer, ".safetensors");
      Training<Space, T> written(meshes[writer], rank);
      written.steps(0, 3);
      save_checkpoint(world, path, {written.model, *written.optimizer, {{"step", 3}}}, layout);
      bool equal = shards || bytes_of(path) == expected; // the same file for every number of ranks
      CHECK(std::filesystem::exists(path) == !shards);
      for (auto const& mesh : meshes) {
        Training<Space, T> own(mesh, rank);
        own.steps(0, 3);
        Training<Space, T> read(mesh, rank);
        fill_values(read.model, 5);
        auto const metadata = load_checkpoint(world, path, {read.model, *read.optimizer});
        equal = equal && read.state() == own.state() && read.optimizer->steps() == 3;
        equal = equal && metadata.texts() == Texts{{"step", "3"}};
      }
      Training<Space, T> read({1, 1, 1}, 0); // one rank alone
      load_checkpoint(self, path, {read.model, *read.optimizer});
      equal = equal && read.state() == one.state();
      CHECK(equal);
    }
}

TEST_CASE_TEMPLATE("a run that goes on from a checkpoint equals one that was not interrupted", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Communicator const world;
  TemporaryFolder const folder(world);
  for (auto const& mesh : meshes_of(world.size())) {
    Training<Space, T> whole(mesh, world.rank());
    whole.steps(0, 4);
    save_checkpoint(world, folder / "c.safetensors", {whole.model, *whole.optimizer});
    whole.steps(4, 8);
    Training<Space, T> resumed(mesh, world.rank());
    load_checkpoint(world, folder / "c.safetensors", {resumed.model, *resumed.optimizer});
    resumed.steps(4, 8);
    CHECK(resumed.state() == whole.state());
    CHECK(resumed.optimizer->steps() == 8);
  }
}

TEST_CASE("runs longer than a buffer, and many short ones") {
  Communicator const world;
  TemporaryFolder const folder(world);
  std::size_t const scale = 40000; // 7.7 MB each, cut along rows and columns
  comm::MeshShape const mesh{world.size(), 1, 1};
  PartitionedModel<Host, float> written(Host(), mesh, world.rank(), scale);
  fill_values(written, 6);
  save_checkpoint(world, folder / "c.safetensors", written);
  PartitionedModel<Host, float> read(Host(), {1, world.size(), 1}, world.rank(), scale);
  PartitionedModel<Host, float> expected(Host(), {1, world.size(), 1}, world.rank(), scale);
  fill_values(expected, 6);
  load_checkpoint(world, folder / "c.safetensors", read);
  CHECK(values_of(read) == values_of(expected));
}

TEST_CASE("weights alone are read from a checkpoint with moments, in the other precision too") {
  Communicator const world;
  TemporaryFolder const folder(world);
  Training<Host, double> training({1, 1, world.size()}, world.rank());
  training.steps(0, 1);
  save_checkpoint(world, folder / "c.safetensors", {training.model, *training.optimizer});
  PartitionedModel<Host, float> read(Host(), {1, 1, world.size()}, world.rank());
  load_checkpoint(world, folder / "c.safetensors", read);
  auto rounded = values_of(training.model);
  for (auto& [name, values] : rounded)
    for (double& x : values) x = static_cast<float>(x);
  CHECK(values_of(read) == rounded);
}

TEST_CASE("what is missing, unexpected or of another shape is named before anything changes") {
  Communicator const world;
  TemporaryFolder const folder(world);
  auto const path = folder / "c.safetensors";
  Shapes stored({{"a", {2, 3}}, {"b", {4}}, {"c", {6, 2}}, {"d", {3, 2}}, {"e", {2}}});
  fill_values(stored, 1);
  save_checkpoint(world, path, stored);
  std::string const start = concat("load_checkpoint: '", path.string(), "' does not fit the model: ");
  std::string const prefix = world.rank() == 0 ? "" : concat("rank 0 of ", world.size(), ": ");

  Shapes other({{"a", {2, 3}}, {"b", {5}}, {"c", {3, 2, 2}}, {"d", {2, 3}}, {"x", {1}}, {"y", {1}}});
  CHECK(sentence_of([&] { load_checkpoint(world, path, other); }) ==
        prefix + start +
            "missing x; y | unexpected e | of another shape b (4), expected (5); d (3, 2), expected (2, 3)");
  CHECK_THROWS_AS(load_checkpoint(world, path, other), ShapeError);
  bool untouched = true;
  for (auto const& [name, values] : values_of(other))
    for (double x : values) untouched = untouched && x == -1;
  CHECK(untouched);

  Shapes fewer({{"a", {2, 3}}, {"c", {3, 2, 2}}});
  CHECK(sentence_of([&] { load_checkpoint(world, path, fewer); }) == prefix + start + "unexpected b; d; e");
  load_checkpoint(world, path, fewer, {.allow_unexpected = true});
  CHECK(values_of(fewer)["a"] == values_of(stored)["a"]);
  CHECK(values_of(fewer)["c"] == values_of(stored)["c"]); // leading axes merged

  Shapes more({{"a", {2, 3}}, {"b", {4}}, {"c", {6, 2}}, {"d", {3, 2}}, {"e", {2}}, {"f", {2}}});
  CHECK(sentence_of([&] { load_checkpoint(world, path, more); }) == prefix + start + "missing f");
  load_checkpoint(world, path, more, {.allow_missing = true});
  CHECK(values_of(more)["d"] == values_of(stored)["d"]);
  CHECK(values_of(more)["f"] == std::vector<double>{-1, -1});

  std::vector<std::pair<std::string, std::vector<std::size_t>>> many;
  for (char c = 'A'; c <= 'M'; ++c) many.push_back({std::string(1, c), {1}});
  Shapes long_list(many);
  CHECK(sentence_of([&] { load_checkpoint(world, path, long_list, {.allow_unexpected = true}); }) ==
        prefix + start + "missing A; B; C; D; E; F; G; H; I; J and 3 more");

  AdamW<Host, float> optimizer(Host(), stored);
  CHECK(sentence_of([&] {
          load_checkpoint(world, path, {stored, optimizer});
        }).find("missing optimizer.first_moment.a; ") != std::string::npos);
}

TEST_CASE("names of the file: renamed, stacked, split, but not transposed") {
  Communicator const world;
  TemporaryFolder const folder(world);
  auto const path = folder / "c.safetensors";
  Shapes stored({{"embed.0.weight", {4, 1, 2, 3}},
                 {"embed.1.weight", {4, 1, 2, 3}},
                 {"in_proj", {12, 4}},
                 {"in_bias", {12}},
                 {"query", {1, 1, 4}},
                 {"table", {1, 2, 4}},
                 {"m", {4, 3}}});
  fill_values(stored, 1);
  save_checkpoint(world, path, stored);
  auto values = values_of(stored);
  auto const part = [&](std::string const& name, std::size_t begin, std::size_t end) {
    auto const& all = values.at(name);
    return std::vector(all.begin() + static_cast<long>(begin), all.begin() + static_cast<long>(end));
  };
  LoadOptions const options{.sources = [](ParameterSpec const& spec) -> std::vector<StoredPart> {
    std::size_t const n = spec.whole_size();
    if (spec.name == "weight") return {{"embed.0.weight"}, {"embed.1.weight"}};
    if (spec.name == "k.weight") return {{"in_proj", {n, 2 * n}}};
    if (spec.name == "v.bias") return {{"in_bias", {2 * n, 3 * n}}};
    if (spec.name == "nothing") return {};
    return renamed({{"q", "query"}, {"embedding", "table"}})(spec);
  }};
  // the stacked array cut in two ways: whole rows, and columns
  auto const both =
      even_part(2, static_cast<std::size_t>(std::min(world.size(), 2)), static_cast<std::size_t>(world.rank() % 2));
  Shapes model({{"k.weight", {4, 4}}, {"v.bias", {4}}, {"q", {4}}, {"embedding", {2, 4}}, {"m", {4, 3}}});
  model.parameters.emplace_back(
      Host(),
      ParameterSpec{.name = "weight", .shape = {both.size(), 4, 6}, .whole = {2, 4, 6}, .begin = {both.begin, 0, 0}},
      initial::constant(-1));
  load_checkpoint(world, path, model, options);
  auto found = values_of(model);
  CHECK(found["k.weight"] == part("in_proj", 16, 32));
  CHECK(found["v.bias"] == part("in_bias", 8, 12));
  CHECK(found["q"] == values["query"]);
  CHECK(found["embedding"] == values["table"]);
  auto stack = values["embed.0.weight"];
  stack.insert(stack.end(), values["embed.1.weight"].begin(), values["embed.1.weight"].end());
  CHECK(found["weight"] == std::vector(stack.begin() + static_cast<long>(both.begin * 24),
                                       stack.begin() + static_cast<long>(both.end * 24)));
  Shapes columns({});
  columns.parameters.emplace_back(
      Host(), ParameterSpec{.name = "weight", .shape = {2, 4, 2}, .whole = {2, 4, 6}, .begin = {0, 0, 3}},
      initial::constant(-1));
  load_checkpoint(world, path, columns, {.sources = options.sources, .allow_unexpected = true});
  std::vector<double> expected;
  for (std::size_t row = 0; row < 8; ++row)
    for (std::size_t column = 3; column < 5; ++column) expected.push_back(stack[row * 6 + column]);
  CHECK(values_of(columns)["weight"] == expected);

  auto const complaint = [&](std::string const& name, std::vector<std::size_t> const& shape) {
    Shapes wrong({{name, shape}});
    auto const sentence = sentence_of(
        [&] { load_checkpoint(world, path, wrong, {.sources = options.sources, .allow_unexpected = true}); });
    return sentence.substr(std::min(sentence.size(), sentence.find("model: ")));
  };
  CHECK(complaint("m", {3, 4}) == "model: of another shape m (4, 3), expected (3, 4)");
  CHECK(complaint("weight", {2, 6, 4}) ==
        "model: of another shape embed.0.weight (4, 1, 2, 3), expected weight (2, 6, 4); "
        "embed.1.weight (4, 1, 2, 3), expected weight (2, 6, 4)");
  CHECK(complaint("weight", {3, 4, 6}) ==
        "model: of another shape embed.0.weight and others with 48 values, expected weight with 72");
  CHECK(complaint("k.weight", {6, 4}) == ""); // the second of two
  CHECK(complaint("k.weight", {8, 4}) == "model: of another shape in_proj [32, 64) (12, 4), expected k.weight (8, 4)");
  CHECK(complaint("nothing", {8}) == "model: missing nothing");
  CHECK(complaint("other", {8}) == "model: missing other");
}

TEST_CASE("the kernels of a grouped convolution are the tokenizer's weights, by name") {
  Communicator const world;
  TemporaryFolder const folder(world);
  auto const path = folder / "c.safetensors";
  std::size_t const C = 3, D = 6, p = 2; // torch.nn.Conv2d(C, C * D, p, p, groups=C)
  Shapes stored({{"tokenizer.weight", {C * D, 1, p, p}}, {"tokenizer.bias", {C * D}}, {"embed", {5 * D, 1, p, p}}});
  fill_values(stored, 1);
  save_checkpoint(world, path, stored);
  Shapes model({{"tokenizer.weight", {C, D, p * p}}, {"tokenizer.bias", {C, D}}});
  load_checkpoint(world, path, model, {.allow_unexpected = true});
  auto const values = values_of(stored);
  CHECK(values_of(model).at("tokenizer.weight") == values.at("tokenizer.weight"));
  CHECK(values_of(model).at("tokenizer.bias") == values.at("tokenizer.bias"));

  std::size_t const n = C * D * p * p; // three of five channels, from the second on
  LoadOptions const options{.sources =
                                [&](ParameterSpec const&) {
                                  return std::vector<StoredPart>{{"embed", {n / C, n / C + n}}};
                                },
                            .allow_unexpected = true};
  Shapes renamed_model({{"w", {C, D, p * p}}});
  load_checkpoint(world, path, renamed_model, options);
  auto const& embed = values.at("embed");
  CHECK(values_of(renamed_model).at("w") ==
        std::vector(embed.begin() + static_cast<long>(n / C), embed.begin() + static_cast<long>(n / C + n)));

  auto const complaint = [&](std::vector<std::size_t> const& shape) {
    Shapes wrong({{"tokenizer.weight", shape}});
    auto const sentence = sentence_of([&] { load_checkpoint(world, path, wrong, {.allow_unexpected = true}); });
    return sentence.substr(std::min(sentence.size(), sentence.find("tokenizer")));
  };
  CHECK(complaint({C, p * p, D}) == "tokenizer.weight (18, 1, 2, 2), expected (3, 4, 6)");
  CHECK(complaint({C, 3, 8}) == "tokenizer.weight (18, 1, 2, 2), expected (3, 3, 8)");
  CHECK(complaint({C + 1, D, p * p}) == "tokenizer.weight (18, 1, 2, 2), expected (4, 6, 4)");
  CHECK(complaint({p * p, C * D}) == "tokenizer.weight (18, 1, 2, 2), expected (4, 18)");
}

TEST_CASE("files of another writer with an index, numbers of 16 bits among them") {
  Communicator const world;
  TemporaryFolder const folder(world);
  auto const write = [&](std::string const& name, StoredTensor const& tensor, std::string const& data) {
    SafetensorsHeader header{{tensor}, {{"format", "pt"}}, 0};
    write_bytes(folder / name, make_safetensors_header(header) + data);
  };
  if (world.rank() == 0) {
    write("m-1.safetensors", {"a", DType::f16, {2}}, std::string("\x00\x3c\x00\xc2", 4));  // 1, -3
    write("m-2.safetensors", {"b", DType::bf16, {2}}, std::string("\x80\x3f\x40\xc0", 4)); // 1, -3
    write_bytes(folder / "m.safetensors.index.json",
                R"({"metadata": {"total_size": 8}, "weight_map": {"a": "m-1.safetensors", "b": "m-2.safetensors"}})");
    write_bytes(folder / "n.safetensors.index.json", R"({"weight_map": {"a": "../m-1.safetensors"}})");
    write_bytes(folder / "o.safetensors.index.json", R"({"weight_map": {"c": "m-1.safetensors"}})");
    write("i.safetensors", {"a", DType::i32, {2}}, "12345678");
  }
  Shapes model({{"a", {2}}, {"b", {2}}});
  load_checkpoint(world, folder / "m.safetensors", model);
  for (auto const& [name, values] : values_of(model)) CHECK(values == std::vector<double>{1, -3});
  load_checkpoint(world, folder / "m.safetensors.index.json", model);
  auto const complaint = [&](std::string const& name) {
    auto const sentence = sentence_of([&] { load_checkpoint(world, folder / name, model); });
    auto const at = sentence.find("' ");
    return at == sentence.npos ? sentence : sentence.substr(at + 2);
  };
  CHECK(complaint("n.safetensors") == "names the file '../m-1.safetensors', expected one in its folder");
  CHECK(complaint("o.safetensors") == "says that 'c' is in 'm-1.safetensors', which does not have it");
  CHECK(complaint("i.safetensors") ==
        "does not fit the model: missing b | of another shape a (2) of I32, expected F16, BF16, F32 or F64");
}

TEST_CASE("arrays that no rank holds, or two ranks hold in two ways, are refused before a file is made") {
  Communicator const world;
  TemporaryFolder const folder(world);
  auto const refused = [&](std::vector<ParameterSpec> const& specs) {
    Shapes model({});
    for (auto const& spec : specs) model.parameters.emplace_back(Host(), spec, initial::constant(0));
    auto const sentence = sentence_of([&] { save_checkpoint(world, folder / "c.safetensors", model); });
    CHECK(folder.names().empty());
    auto const at = sentence.find("Checkpoint: ");
    return sentence.substr(at == sentence.npos ? 0 : at);
  };
  CHECK(refused({{.name = "w", .shape = {2, 3}, .whole = {4, 3}, .begin = {1, 0}}}) ==
        "Checkpoint: 'w': 6 of its values are held by a rank, expected all of (4, 3)");
  CHECK(refused({{.name = "w", .shape = {2, 3}, .run = {1, 4}}}) ==
        "Checkpoint: 'w': of its part (2, 3) from (0, 0), the values 0 to 1 are held by no rank");
  CHECK(refused({{.name = "w", .shape = {2, 3}, .run = {0, 4}}}) ==
        "Checkpoint: 'w': of its part (2, 3) from (0, 0), the values 4 to 6 are held by no rank");
  CHECK(refused({{.name = "w", .shape = {2}}, {.name = "w", .shape = {2}}}) == "Checkpoint: two arrays are called 'w'");
  if (world.size() == 1) return;
  auto const other = static_cast<std::size_t>(world.rank() == 0 ? 0 : 1);
  CHECK(refused({{.name = "w", .shape = {2 + other}}}) ==
        "Checkpoint: 'w' is part of an array (3) here and of one (2) there");
  CHECK(refused({{.name = "w", .shape = {4, 3}, .whole = {6, 3}, .begin = {2 * other, 0}}}) ==
        "Checkpoint: 'w': its parts (4, 3) from (0, 0) and (4, 3) from (2, 0) overlap");
  CHECK(refused({{.name = "w", .shape = {6}, .run = {2 * other, 4 + 2 * other}}}) ==
        "Checkpoint: 'w': of its part (6) from (0), the values 2 to 4 are held in two ways");
}

TEST_CASE("a deferred model has nothing to write and no room to read into") {
  using Space = Kokkos::DefaultHostExecutionSpace;
  auto model = deferred([] { return ToyModel<Space, double>(Space()); });
  auto const arrays = [&] { return Checkpoint(model).arrays().size(); };
  CHECK_THROWS_WITH_AS(arrays(), "Checkpoint: toy.weight is deferred, expected values", Error);
  model.for_each_parameter([](auto& parameter) { parameter.materialize(Space()); });
  CHECK(arrays() == 2);
}

TEST_CASE("ranks that do not agree, and names that are taken") {
  Communicator const world;
  TemporaryFolder const folder(world);
  Shapes model({{"w", {2}}});
  bool const alone = world.size() == 1;
  CHECK(sentence_of([&] {
          save_checkpoint(world, folder / "c.safetensors", {model, {{"step", world.rank()}}});
        }) == (alone ? "" : "save_checkpoint: step is 0 on rank 0 but 1 on rank 1"));
  for (auto const layout :
       {CheckpointLayout::one_file, CheckpointLayout::shards}) { // a sum that ranks round differently
    auto const path = folder / concat("loss", static_cast<int>(layout), ".safetensors");
    save_checkpoint(world, path, {model, {{"loss_sum", 0.1 + 1e-16 * world.rank()}, {"step", 3}}}, layout);
    CHECK(load_checkpoint(world, path, {model}).get<double>("loss_sum") == 0.1);
  }
  CHECK(sentence_of([&] {
          save_checkpoint(world, folder / "c.safetensors", {model, {{"dchag.x", 1}}});
        }) == "save_checkpoint: metadata 'dchag.x', expected no name that begins with dchag.");
  AdamW<Host, float> lazy;
  CHECK(sentence_of([&] { Checkpoint(model, lazy); }) ==
        "Checkpoint: the optimizer has 0 moments, expected two for each of 1 parameters: construct it with the model");
}

} // namespace train_checkpoint
