// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause

// Cross-attentions whose heads the ranks share compute what one rank does.
#include <dchag/channels/distributed_aggregator.hpp>
#include <dchag/channels/tensor_parallel_aggregator.hpp>

#include <support/distributed.hpp>

namespace channels_head_shared {

using namespace dchag;
using namespace dchag::test;
using comm::Communicator;

namespace {

template <class Case, class Form>
void check_tensor_parallel(ops::PoolingChoice const& pooling = {}) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  CAPTURE(ops::name_of(pooling.values));
  Space const exec;
  Communicator const world;
  for (bool const bias : {false, true}) {
    AggregatorConfig const config{
        .channels = 7, .patch = 2, .width = 24, .heads = 12, .projection_bias = bias, .seed = 4, .pooling = pooling};
    TensorParallelAggregator<Space, T, Form> ranks(exec, world, config);
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

template <class Case, class Form>
void check_final_module() {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Space const exec;
  Communicator const world;
  auto const self = Communicator::self();
  DistributedAggregatorConfig const config{
      .channels = 61, .groups = 12, .patch = 2, .width = 24, .heads = 12, .projection_bias = true, .seed = 4};
  DistributedAggregator<Space, T, Tree<CrossAttention>, HeadShared, Form> ranks(exec, world, config);
  DistributedAggregator<Space, T, Tree<CrossAttention>, CrossAttention, Form> one(exec, self, config);
  CHECK(starts_as(ranks, one));
  check_equals_one(ranks, one, {2, 61, 4, 6}, {}, 0.2);
  // groups without a channel: the gradients of those that are left are not as many for each rank
  check_equals_one(ranks, one, {2, 3, 4, 6}, {.channels = {5, 0, 60}}, 0.2);
  auto const traffic = traffic_of(ranks, 6, {2, ranks.own_channels().size(), 4, 6});
  bool const alone = world.size() == 1;
  std::size_t const rows = 2 * 6 * 24 * sizeof(T);
  std::size_t const groups = 12 / static_cast<std::size_t>(world.size());
  CHECK(traffic.calls_forward == (alone ? 0 : 2));
  CHECK(traffic.bytes_forward == (alone ? 0 : (groups + 1) * rows));
  CHECK(traffic.calls_backward == (alone ? 0 : 1));
  CHECK(traffic.bytes_backward == (alone ? 0 : 12 * rows));
}

} // namespace

TEST_CASE_TEMPLATE("tensor parallelism alone equals one rank", Case, DCHAG_TEST_CASES) {
  check_tensor_parallel<Case, Materialized>();
  check_tensor_parallel<Case, Fused>({.values = ops::Values::tokens});
  check_tensor_parallel<Case, Fused>({.values = ops::Values::pixels});
}

TEST_CASE_TEMPLATE("a final module with shared heads equals a replicated one", Case, DCHAG_TEST_CASES) {
  check_final_module<Case, Materialized>();
  check_final_module<Case, Fused>();
}

TEST_CASE_TEMPLATE("tensor parallelism with values folded before gives what one rank does, until channels change", Case,
                   DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Space const exec;
  Communicator const world;
  Workspace<Space> workspace(exec);
  AggregatorConfig const config{.channels = 7, .patch = 2, .width = 24, .heads = 12, .seed = 4};
  TensorParallelAggregator<Space, T> ranks(exec, world, config);
  ChannelAggregator<Space, T> one(exec, config);
  randomize(ranks);
  randomize(one);
  typename TensorParallelAggregator<Space, T>::Context context;
  auto const y = filled_tensor<T>(exec, {2, 6, 24}, nan_value);
  auto const expect = [&](std::size_t planes, Choice const& choice) {
    auto const pixels = random_tensor<T>(exec, 8, "image", {2, planes, 4, 6});
    ranks.forward(workspace, context, choice.image(exec, pixels), y);
    exec.fence();
    CHECK(relative_error(y, step_of(workspace, one, pixels, choice).y) < tolerance<T>(1e-5, 1e-12));
  };
  ranks.freeze(workspace, context, filled_tensor<T>(exec, {2, 7, 4, 6}, 0));
  expect(7, {});
  auto const set_values = [&](auto const& change) {
    ranks.for_each_parameter([&](auto& parameter) {
      if (parameter.name() == "tree.level0.module0.v.weight") change(parameter.values());
    });
  };
  std::vector<double> kept;
  set_values([&](auto const& values) {
    kept = flat(values);
    Kokkos::deep_copy(values, nan_value); // the folded ones are used
  });
  expect(7, {});
  set_values([&](auto const& values) { assign(values, kept); });
  expect(3, {.channels = {5, 0, 3}});
}

TEST_CASE("heads that the ranks cannot share are refused on all of them") {
  using Space = Kokkos::DefaultExecutionSpace;
  Communicator const world;
  if (world.size() == 1) return;
  AggregatorConfig const config{.channels = 7, .patch = 2, .width = 15, .heads = 5};
  CHECK_THROWS_AS((TensorParallelAggregator<Space, float>(Space(), world, config)), ShapeError);
}

} // namespace channels_head_shared
