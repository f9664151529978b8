// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
// What was wrong in the published implementation of the method, each with a test that fails if it comes back.
#include <dchag/channels/distributed_aggregator.hpp>
#include <dchag/train/adamw.hpp>

#include <support/distributed.hpp>

namespace channels_published_defects {

using namespace dchag;
using namespace dchag::test;
using comm::Communicator;

namespace {

constexpr DistributedAggregatorConfig uneven{.channels = 37, .groups = 12, .patch = 2, .width = 8, .heads = 2};

template <class Model>
void set_all(Model& model, double value) {
  model.for_each_parameter(
      [&](auto& parameter) { assign(parameter.values(), std::vector<double>(parameter.size(), value)); });
}

/// Numbers of the parameters whose name begins so.
template <class Model>
std::size_t count_of(Model& model, std::string const& beginning) {
  std::size_t count = 0;
  model.for_each_parameter([&](auto& parameter) {
    if (parameter.name().rfind(beginning, 0) == 0) count += parameter.size();
  });
  return count;
}

/// Whether all ranks hold the same bits. Collective.
bool same_on_all_ranks(Communicator const& communicator, std::vector<double> const& values) {
  return comm::all_reduce(communicator, values, comm::Reduce::min) ==
         comm::all_reduce(communicator, values, comm::Reduce::max);
}

/// All replicated parameters' values, one after the other.
template <class Model>
std::vector<double> replicated_values(Model& model) {
  std::vector<double> all;
  model.for_each_parameter([&](auto& parameter) {
    if (parameter.spec().placement != Placement::replicated) return;
    auto const values = flat(parameter.values());
    all.insert(all.end(), values.begin(), values.end());
  });
  return all;
}

/// All parameters of this rank after four steps towards a random target; `same` counts after how many of them, and
/// before the first, the replicated ones are the same on all ranks. Collective.
template <class Aggregator, class Space, class T = typename Aggregator::value_type>
Numbers train(Space const& exec, Communicator const& communicator, Aggregator& aggregator, std::size_t& same) {
  Workspace<Space> workspace(exec);
  typename Aggregator::Context context;
  AdamW<Space, T> optimizer;
  auto const whole = random_tensor<T>(exec, 11, "image", {2, uneven.channels, 4, 6});
  auto const image = planes_of(exec, whole, own_planes(aggregator.own_channels(), uneven.channels, {}));
  auto const target = flat(random_tensor<T>(exec, 11, "target", {2, 6, uneven.width}));
  auto const y = filled_tensor<T>(exec, {2, 6, uneven.width}, 0);
  auto const d_y = filled_tensor<T>(exec, {2, 6, uneven.width}, 0);
  same = same_on_all_ranks(communicator, replicated_values(aggregator)) ? 1 : 0;
  for (int step = 0; step < 4; ++step) {
    clear_gradients(exec, aggregator);
    aggregator.forward(workspace, context, image, y);
    exec.fence();
    auto difference = flat(y);
    for (std::size_t i = 0; i < difference.size(); ++i) difference[i] -= target[i];
    assign(d_y, difference);
    aggregator.backward(workspace, context, image, d_y, no_gradient);
    optimizer.step(exec, aggregator, 0.01);
    exec.fence();
    same += same_on_all_ranks(communicator, replicated_values(aggregator)) ? 1 : 0;
  }
  return values_of(aggregator);
}

} // namespace

TEST_CASE_TEMPLATE("Every channel is read: to change any one changes the output", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  using Aggregator = DistributedAggregator<Space, T, Tree<Linear>>;
  Space const exec;
  Workspace<Space> workspace(exec);
  Communicator const world;
  Aggregator aggregator(exec, world, uneven);
  randomize(aggregator);
  typename Aggregator::Context context;
  auto const y = filled_tensor<T>(exec, {1, 2, uneven.width}, 0);
  auto const whole = random_tensor<T>(exec, 10, "image", {1, uneven.channels, 2, 4});
  auto const pixels = flat(whole);
  auto const planes = own_planes(aggregator.own_channels(), uneven.channels, {});
  auto const output = [&](std::vector<double> const& values) {
    assign(whole, values);
    aggregator.forward(workspace, context, planes_of(exec, whole, planes), y);
    exec.fence();
    return flat(y);
  };
  auto const before = output(pixels);
  for (std::size_t c = 0; c < uneven.channels; ++c) {
    CAPTURE(c);
    auto changed = pixels;
    changed[c * 8 + 3] += 1; // in the second patch
    auto const after = output(changed);
    auto const half = static_cast<std::ptrdiff_t>(uneven.width);
    CHECK(std::equal(before.begin(), before.begin() + half, after.begin()));
    CHECK(relative_error(after, before) > tolerance<T>(1e-5, 1e-10));
  }
}

TEST_CASE_TEMPLATE("Biases are added once, however many ranks there are", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  using Aggregator = DistributedAggregator<Space, T, Tree<CrossAttention>, Linear>;
  Space const exec;
  Workspace<Space> workspace(exec);
  Communicator const world;
  Aggregator aggregator(exec, world, uneven);
  set_all(aggregator, 0);
  aggregator.for_each_parameter([&](auto& parameter) {
    double value = 0;
    if (parameter.name() == "final.bias") value = 3;
    if (parameter.name() == "final.weight") value = 1;
    if (parameter.name().find(".out.bias") != std::string::npos) value = 0.5; // of each of the 12 groups
    assign(parameter.values(), std::vector<double>(parameter.size(), value));
  });
  auto const image = random_tensor<T>(exec, 10, "image", {2, aggregator.own_channels().size(), 4, 6});
  auto const y = step_of(workspace, aggregator, image).y;
  CHECK(relative_error(y, std::vector<double>(y.size(), 3 + 12 * 0.5)) == 0);
}

// That samples do not see each other is also tested with the ChannelAggregator, whose attention this is.
TEST_CASE_TEMPLATE("Attention does not mix samples and tokens", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Space const exec;
  Workspace<Space> workspace(exec);
  Communicator const world;
  DistributedAggregator<Space, T> aggregator(exec, world, uneven);
  randomize(aggregator);
  std::size_t const c = aggregator.own_channels().size();
  auto const image = random_tensor<T>(exec, 10, "image", {3, c, 4, 6});
  auto const before = step_of(workspace, aggregator, image).y;
  auto pixels = flat(image);
  for (std::size_t i = c * 24; i < 2 * c * 24; ++i) pixels[i] += 1; // the second sample
  assign(image, pixels);
  auto const after = step_of(workspace, aggregator, image).y;
  for (std::size_t i = 0; i < before.size(); ++i) CHECK((after[i] == before[i]) == (i / (before.size() / 3) != 1));
}

TEST_CASE_TEMPLATE("A rank allocates the tokenizers of its own channels only", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Communicator const world;
  auto const P = static_cast<std::size_t>(world.size());
  // large enough for the few bytes that Kokkos adds to each allocation not to matter
  DistributedAggregatorConfig const config{.channels = 37, .groups = 12, .patch = 4, .width = 64, .heads = 2};
  AllocationCounter const allocations;
  DistributedAggregator<Space, T, Tree<Linear>, Linear> aggregator(Space(), world, config);
  std::size_t const c = aggregator.own_channels().size();
  std::size_t const tokenizers = c * 64 * (16 + 2);
  std::size_t const groups = c + 12 / P; // weights and biases
  std::size_t const last = 12 + 1;
  CHECK(count_of(aggregator, "tokenizer.") == tokenizers);
  CHECK(parameter_count(aggregator) == tokenizers + groups + last);
  auto const held = allocations.live();
  auto const weight = allocations.by_label().at("dchag::parameter::tokenizer.weight").bytes;
  auto const least = 2 * sizeof(T) * parameter_count(aggregator); // values and gradients
  CHECK(weight < c * 64 * 16 * sizeof(T) + 512);
  CHECK(held >= least);
  CHECK(held < least + least / 5);
  CHECK(c <= 37 / P + 1); // no rank holds much more than its share
}

TEST_CASE("Group sizes are not fixed: no channel count need be divisible by anything") {
  using Space = Kokkos::DefaultHostExecutionSpace;
  Communicator const world;
  auto const self = Communicator::self();
  for (std::size_t C : {12u, 13u, 23u, 25u}) {
    DistributedAggregatorConfig const config{.channels = C, .groups = 12, .patch = 1, .width = 4, .heads = 1};
    DistributedAggregator<Space, double, Tree<CrossAttention, 2>> ranks(Space(), world, config);
    DistributedAggregator<Space, double, Tree<CrossAttention, 2>> one(Space(), self, config);
    check_equals_one(ranks, one, {1, C, 2, 3});
  }
}

TEST_CASE_TEMPLATE("Replicated parameters are the same bits on all ranks, at the start and while training", Case,
                   DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  using Aggregator = DistributedAggregator<Space, T, Tree<Linear>>;
  Space const exec;
  Communicator const world;
  auto const self = Communicator::self();
  Aggregator ranks(exec, world, uneven);
  Aggregator one(exec, self, uneven);
  auto const before = values_of(ranks);
  std::size_t same = 0;
  std::size_t same_alone = 0;
  auto const found = train(exec, world, ranks, same);
  auto const expected = train(exec, self, one, same_alone);
  CHECK(same == 5);
  CHECK(replicated_values(ranks).size() == (world.size() == 1 ? parameter_count(ranks) : count_of(ranks, "final.")));
  CHECK(found.at("final.out.weight") != before.at("final.out.weight"));
  CHECK(found.at("tokenizer.weight") != before.at("tokenizer.weight"));
  // the first steps of AdamW turn the smallest gradients into whole steps: compare where there is a gradient
  CHECK(relative_error(found.at("final.out.weight"), expected.at("final.out.weight")) < tolerance<T>(1e-3, 1e-9));
}

} // namespace channels_published_defects
