// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause

// Tokens of bfloat16 give the function of every aggregator over ranks to two digits.
#include <dchag/channels/distributed_aggregator.hpp>
#include <dchag/channels/flat_aggregator.hpp>
#include <dchag/channels/tensor_parallel_aggregator.hpp>

#include <support/distributed.hpp>

namespace channels_bfloat16 {

using namespace dchag;
using namespace dchag::test;
using Space = Kokkos::DefaultExecutionSpace;

namespace {

/// A step of this rank, with gradients summed where they are shares.
template <class Aggregator, class Config>
StepResult step(Config const& config) {
  Space const exec;
  Workspace<Space> workspace(exec);
  comm::Communicator const world;
  Aggregator aggregator(exec, world, config);
  randomize(aggregator, 0.2);
  auto const image = random_tensor<float>(exec, 8, "image", {2, aggregator.own_channels().size(), 6, 8});
  auto result = step_of(workspace, aggregator, image);
  parallel::sum_partial_gradients(workspace, world, aggregator);
  result.d_weights = gradients_of(aggregator);
  return result;
}

template <class Bfloat16, class Float, class Config>
void check_close(Config const& config) {
  auto const found = step<Bfloat16>(config);
  auto const expected = step<Float>(config);
  CHECK(relative_error(found.y, expected.y) < 3e-2);
  CHECK(relative_error(found.d_image, expected.d_image) < 3e-2);
  CHECK(worst_error(found.d_weights, expected.d_weights) < 1e-1); // those of the query cancel
  CHECK(relative_error(found.y, expected.y) > 1e-6);              // it is another form, not the same one
}

AggregatorConfig const flat_config{
    .channels = 13, .patch = 2, .width = 24, .heads = 12, .seed = 4, .pooling = {.values = ops::Values::tokens}};

} // namespace

TEST_CASE("the exact flat cross-attention with tokens of bfloat16") {
  check_close<FlatAggregator<Space, float, FusedBfloat16>, FlatAggregator<Space, float>>(flat_config);
}

TEST_CASE("tensor parallelism with tokens of bfloat16") {
  check_close<TensorParallelAggregator<Space, float, FusedBfloat16>, TensorParallelAggregator<Space, float>>(
      flat_config);
}

TEST_CASE("D-CHAG with shared heads and tokens of bfloat16") {
  using Tree = dchag::Tree<CrossAttention>;
  DistributedAggregatorConfig const config{.channels = 13,
                                           .groups = 4,
                                           .patch = 2,
                                           .width = 24,
                                           .heads = 12,
                                           .seed = 4,
                                           .pooling = {.values = ops::Values::tokens}};
  check_close<DistributedAggregator<Space, float, Tree, HeadShared, FusedBfloat16>,
              DistributedAggregator<Space, float, Tree, HeadShared>>(config);
}

} // namespace channels_bfloat16
