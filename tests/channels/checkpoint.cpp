// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/channels/any_aggregator.hpp>
#include <dchag/channels/distributed_aggregator.hpp>
#include <dchag/channels/distributed_tokenization.hpp>
#include <dchag/channels/flat_aggregator.hpp>
#include <dchag/channels/tensor_parallel_aggregator.hpp>
#include <dchag/train/checkpoint.hpp>

#include <support/distributed.hpp>
#include <support/temporary_folder.hpp>

namespace channels_checkpoint {

using namespace dchag;
using namespace dchag::test;
using comm::Communicator;

namespace {

using DefaultSpace = Kokkos::DefaultExecutionSpace;
using Flat = FlatAggregator<DefaultSpace, double>;
template <class TreePolicy, class Final = CrossAttention>
using Grouped = DistributedAggregator<DefaultSpace, double, TreePolicy, Final>;
using Names = std::vector<std::string>;

Names bands(std::vector<std::size_t> const& list) {
  Names names;
  for (auto const band : list) names.push_back(concat(400 + 10 * band, " nm"));
  return names;
}
std::vector<std::size_t> first(std::size_t count) {
  std::vector<std::size_t> list(count);
  std::iota(list.begin(), list.end(), std::size_t{0});
  return list;
}

/// The output for the planes (2, bands of the list, 4, 6) of an image that has all 19 bands.
template <class Aggregator>
std::vector<double> output_of(Aggregator& aggregator, std::vector<std::size_t> const& list, Choice const& choice = {}) {
  DefaultSpace const exec;
  Workspace<DefaultSpace> workspace(exec);
  typename Aggregator::Context context;
  auto const image = random_tensor<double>(exec, 8, "image", {2, 19, 4, 6});
  auto const planes = planes_of(exec, image, list);
  auto const own = planes_of(exec, planes, own_planes(aggregator.own_channels(), list.size(), choice));
  auto const y = filled_tensor<double>(exec, {2, 6, aggregator.config().width}, nan_value);
  aggregator.forward(workspace, context, choice.image(exec, own), y);
  exec.fence();
  return flat(y);
}

AggregatorConfig flat_config(std::vector<std::size_t> const& list) {
  return {.channels = list.size(), .patch = 2, .width = 8, .heads = 2, .channel_names = bands(list)};
}
DistributedAggregatorConfig grouped_config(std::vector<std::size_t> const& list) {
  return {.channels = list.size(), .groups = 4, .patch = 2, .width = 8, .heads = 2, .channel_names = bands(list)};
}

/// What loading into a model says, which must leave it alone then.
template <class Model>
std::string complaint(Communicator const& world, std::filesystem::path const& path, Model&& model) {
  auto const before = values_of(model);
  auto const sentence = sentence_of([&] { load_checkpoint(world, path, model); });
  CHECK((sentence.empty() || values_of(model) == before));
  auto const at = sentence.find("safetensors' ");
  return at == sentence.npos ? sentence : sentence.substr(at + 13);
}

/// A model reads what one with its channels in another order, or with more of them, has learned, and computes the same
/// of the same channels.
template <class Aggregator, class Config>
void check_channels(Communicator const& world, Config const& config, std::vector<std::size_t> const& reordered,
                    std::vector<std::size_t> const& some) {
  DefaultSpace const exec;
  TemporaryFolder const folder(world);
  Aggregator all(exec, world, config(first(19)));
  randomize(all);
  save_checkpoint(world, folder / "all.safetensors", all);

  Aggregator other(exec, world, config(reordered));
  auto const loaded = load_checkpoint(world, folder / "all.safetensors", other);
  CHECK(loaded.remarks.size() == 1);
  CHECK(relative_error(output_of(other, reordered), output_of(all, first(19))) < 1e-12);

  Aggregator fewer(exec, world, config(some));
  CHECK(complaint(world, folder / "all.safetensors", fewer).find("unexpected channels ") != std::string::npos);
  load_checkpoint(world, folder / "all.safetensors", fewer, {.allow_unexpected = true});
  CHECK(relative_error(output_of(fewer, some), output_of(all, some, {.channels = some})) < 1e-12);
}

} // namespace

// Each rank has the tokenizer of its channels and the trees of its groups, and all have the final module.
TEST_CASE_TEMPLATE("an aggregation over ranks goes through a file to any other number of them", Case,
                   DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  using Model = DistributedAggregator<Space, T, Tree<Linear, 2>>;
  Space const exec;
  Communicator const world;
  auto const self = Communicator::self();
  TemporaryFolder const folder(world);
  DistributedAggregatorConfig const config{.channels = 19, .groups = 4, .patch = 2, .width = 8, .heads = 2};
  Model ranks(exec, world, config), one(exec, self, config);
  randomize(ranks);
  randomize(one);
  auto const own = folder / concat("one", world.rank(), ".safetensors");
  save_checkpoint(world, folder / "ranks.safetensors", ranks);
  save_checkpoint(self, own, one);
  CHECK(bytes_of(folder / "ranks.safetensors") == bytes_of(own));

  auto const expected = values_of(one);
  Model other_ranks(exec, world, config), other_one(exec, self, config);
  load_checkpoint(world, folder / "ranks.safetensors", other_ranks);
  load_checkpoint(self, folder / "ranks.safetensors", other_one);
  CHECK(values_of(other_ranks) == part_of(expected, other_ranks));
  CHECK(values_of(other_one) == expected);
}

TEST_CASE("channels are matched by name: another order and subsets are the same function") {
  Communicator const world;
  check_channels<Flat>(world, flat_config, {18, 3, 4, 0, 1, 2, 17, 16, 5, 7, 6, 8, 9, 10, 15, 14, 13, 11, 12},
                       {17, 2, 3, 11, 0});
  // modules of [0, 3) [3, 5), [5, 8) [8, 10), [10, 13) [13, 15), [15, 17) [17, 19)
  check_channels<Grouped<Tree<Linear, 2>>>(world, grouped_config,
                                           {2, 0, 1, 4, 3, 5, 7, 6, 9, 8, 12, 11, 10, 13, 14, 16, 15, 18, 17},
                                           {1, 0, 4, 7, 5, 8, 11, 14, 16, 17});
}

TEST_CASE("a channel of another group, module or place is refused") {
  Communicator const world;
  TemporaryFolder const folder(world);
  auto const path = folder / "c.safetensors";
  auto list = first(19);
  Grouped<Tree<Linear, 2>> grouped(DefaultSpace(), world, grouped_config(list));
  save_checkpoint(world, path, grouped);
  std::swap(list[0], list[18]);
  CHECK(complaint(world, path, Grouped<Tree<Linear, 2>>(DefaultSpace(), world, grouped_config(list))) ==
        "was written with channel '580 nm' in group 3, module 1, expected group 0, module 0: what the model computes "
        "depends on that");

  auto pair = first(4);
  using Shared = ChannelAggregator<DefaultSpace, double, SharedTree<Linear, 2>>; // its weights belong to places
  Shared shared(DefaultSpace(), flat_config(pair));
  save_checkpoint(world, path, shared);
  std::swap(pair[2], pair[3]);
  CHECK(complaint(world, path, Shared(DefaultSpace(), flat_config(pair))) ==
        "was written with channel '430 nm' in group 0, module 1, place 1, expected group 0, module 1, place 0: what "
        "the model computes depends on that");
}

TEST_CASE("what computes the same of the same parameters says the same, anything else is refused with both values") {
  Communicator const world;
  TemporaryFolder const folder(world);
  auto const path = folder / "flat.safetensors";
  auto const config = flat_config(first(19));
  ChannelAggregator<DefaultSpace, double> one(DefaultSpace(), config);
  auto const description = one.describe();
  Flat flat(DefaultSpace(), world, config);
  CHECK(flat.describe() == description);
  CHECK(
      ChannelAggregator<DefaultSpace, double, Tree<CrossAttention>, Materialized>(DefaultSpace(), config).describe() ==
      description);
  CHECK(DistributedTokenization<DefaultSpace, double>(DefaultSpace(), world, config).describe() == description);
  CHECK(AnyAggregator<DefaultSpace, double>(Flat(DefaultSpace(), world, config)).describe() == description);
  auto const grouped = grouped_config(first(19)); // no group has more than 5 channels
  auto const tree = detail::describe_aggregator<double, Tree<CrossAttention, 8>, CrossAttention>(grouped, 4);
  CHECK(tree == detail::describe_aggregator<double, Tree<CrossAttention, 5>, HeadShared>(grouped, 4));
  CHECK(tree != detail::describe_aggregator<double, SharedTree<CrossAttention, 5>, HeadShared>(grouped, 4));
  CHECK(tree != detail::describe_aggregator<double, Tree<CrossAttention, 4>, CrossAttention>(grouped, 4));
  if (2 % world.size() == 0)
    CHECK(TensorParallelAggregator<DefaultSpace, double>(DefaultSpace(), world, config).describe() == description);
  randomize(one);
  save_checkpoint(world, path, one);
  CHECK(load_checkpoint(world, path, flat).remarks.empty());
  CHECK(values_of(flat) == part_of(values_of(one), flat));
  auto const info = read_metadata(world, path);
  REQUIRE(info.description.has_value());
  CHECK(*info.description == description);
  CHECK(info.description->get<std::string>("aggregation tree") == "cross_attention/1");
  CHECK(info.description->channels().names[3] == "430 nm");

  auto const with = [&](auto const& change) {
    auto other = config;
    change(other);
    return complaint(world, path, ChannelAggregator<DefaultSpace, double>(DefaultSpace(), other));
  };
  CHECK(with([](auto& other) { other.heads = 4; }) == "was written with aggregation heads 2, expected 4");
  CHECK(with([](auto& other) { other.patch = 1, other.width = 16; }) ==
        "was written with patch 2, expected 1; aggregation width 8, expected 16");
  CHECK(with([](auto& other) { other.projection_bias = true; }) ==
        "was written with aggregation projection bias false, expected true");
  CHECK(with([](auto& other) { other.pooling.tile = 4; }).empty());
  CHECK(with([](auto& other) { other.seed = 4; }).empty());
  CHECK(
      complaint(world, path, ChannelAggregator<DefaultSpace, double, SharedTree<Linear, 2>>(DefaultSpace(), config)) ==
      "was written with aggregation tree cross_attention/1, expected linear/2 shared > linear/1");
  CHECK(complaint(world, path, Grouped<Tree<Linear, 2>>(DefaultSpace(), world, grouped)) ==
        "was written with aggregation groups none, expected 4; aggregation tree cross_attention/1, expected linear/2 > "
        "linear/1");
}

TEST_CASE("channel names must be as many as the channels, all different, and the same on every rank") {
  Communicator const world;
  auto config = flat_config(first(5));
  config.channels = 6;
  CHECK_THROWS_WITH_AS((ChannelAggregator<DefaultSpace, double>(DefaultSpace(), config)),
                       "ChannelAggregator: 5 channel names, expected as many as channels C = 6", ShapeError);
  CHECK_THROWS_WITH_AS(Flat(DefaultSpace(), world, config),
                       "FlatAggregator: 5 channel names, expected as many as channels C = 6", ShapeError);
  config.channel_names = bands({0, 1, 2, 1, 4, 5});
  CHECK_THROWS_WITH_AS(Flat(DefaultSpace(), world, config), "ChannelSet: channels 1 and 3 are both called '410 nm'",
                       ShapeError);
  if (world.size() == 1) return;
  config.channel_names = bands({0, 1, world.rank() == 1 ? 9u : 2u, 3, 4, 5});
  CHECK_THROWS_WITH_AS(Flat(DefaultSpace(), world, config),
                       "FlatAggregator: the name of channel 2 is 420 nm on rank 0 but 490 nm on rank 1", CommError);
}

} // namespace channels_checkpoint
