// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause

// Cross-attentions whose heads the ranks share compute what one rank does.
#include <dchag/channels/distributed_aggregator.hpp>
#include <dchag/channels/tensor_parallel_aggregator.hpp>

#include <support/distributed.hpp>

using namespace dchag;
using namespace dchag::test;
using comm::Communicator;

TEST_CASE_TEMPLATE("tensor parallelism alone equals one rank", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Space const exec;
  Communicator const world;
  for (bool const bias : {false, true}) {
    AggregatorConfig const config{
        .channels = 7, .patch = 2, .width = 24, .heads = 12, .projection_bias = bias, .seed = 4};
    TensorParallelAggregator<Space, T> ranks(exec, world, config);
    ChannelAggregator<Space, T> one(exec, config);
    CHECK(starts_as(ranks, one));
    check_equals_one(ranks, one, {2, 7, 4, 6});
    check_equals_one(ranks, one, {2, 3, 4, 6}, {.channels = {5, 0, 3}, .positions = {{1, 4}, {0, 5}}});
    auto const traffic = traffic_of(ranks, 6, {2, 7, 4, 6});
    bool const alone = world.size() == 1;
    CHECK(traffic.calls_forward == (alone ? 0 : 1));
    CHECK(traffic.bytes_forward == (alone ? 0 : 2 * 6 * 24 * sizeof(T)));
    CHECK(traffic.calls_backward == 0);
  }
}

TEST_CASE_TEMPLATE("a final module with shared heads equals a replicated one", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Space const exec;
  Communicator const world;
  auto const self = Communicator::self();
  DistributedAggregatorConfig const config{
      .channels = 61, .groups = 12, .patch = 2, .width = 24, .heads = 12, .projection_bias = true, .seed = 4};
  DistributedAggregator<Space, T, Tree<CrossAttention>, HeadShared, Materialized> ranks(exec, world, config);
  DistributedAggregator<Space, T, Tree<CrossAttention>, CrossAttention, Materialized> one(exec, self, config);
  CHECK(starts_as(ranks, one));
  check_equals_one(ranks, one, {2, 61, 4, 6});
  // groups without a channel: the gradients of those that are left are not as many for each rank
  check_equals_one(ranks, one, {2, 3, 4, 6}, {.channels = {5, 0, 60}});
  auto const traffic = traffic_of(ranks, 6, {2, ranks.own_channels().size(), 4, 6});
  bool const alone = world.size() == 1;
  std::size_t const rows = 2 * 6 * 24 * sizeof(T);
  std::size_t const groups = 12 / static_cast<std::size_t>(world.size());
  CHECK(traffic.calls_forward == (alone ? 0 : 2));
  CHECK(traffic.bytes_forward == (alone ? 0 : (groups + 1) * rows));
  CHECK(traffic.calls_backward == (alone ? 0 : 1));
  CHECK(traffic.bytes_backward == (alone ? 0 : 12 * rows));
}

TEST_CASE("heads that the ranks cannot share are refused on all of them") {
  using Space = Kokkos::DefaultExecutionSpace;
  Communicator const world;
  if (world.size() == 1) return;
  AggregatorConfig const config{.channels = 7, .patch = 2, .width = 15, .heads = 5};
  CHECK_THROWS_AS((TensorParallelAggregator<Space, float>(Space(), world, config)), ShapeError);
}
