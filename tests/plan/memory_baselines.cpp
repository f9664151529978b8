// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause

// The aggregations that the others are measured against, and trees over all channels.
#include <dchag/channels/distributed_tokenization.hpp>
#include <dchag/channels/tensor_parallel_aggregator.hpp>

#include <support/planned.hpp>

namespace plan_memory_baselines {

using namespace dchag;
using namespace dchag::test;
using parallel::SequenceParallel;
using parallel::TensorParallel;
using Space = PlannedSpace;

namespace {
plan::Config config_of(plan::Strategy strategy, plan::Form form, plan::Layer layer = plan::Layer::cross_attention,
                       std::size_t level = 0) {
  auto c = planned_config();
  c.aggregation = {.strategy = strategy, .form = form, .layer = layer, .level = level};
  return c;
}
} // namespace

TEST_CASE("a materialized flat model holds what was planned") {
  check_plans<ChannelAggregator<Space, double, Tree<CrossAttention>, Materialized>, Replicated>(
      config_of(plan::Strategy::flat, plan::Form::materialized));
}

TEST_CASE("a tree over all channels holds what was planned") {
  check_plans<ChannelAggregator<Space, float, Tree<Linear, 3>, Fused>, Replicated>(
      config_of(plan::Strategy::flat, plan::Form::fused, plan::Layer::linear, 3));
}

TEST_CASE("the tensor-parallel baseline holds what was planned") {
  auto c = config_of(plan::Strategy::tensor_parallel, plan::Form::materialized);
  c.aggregation.projection_bias = true;
  check_plans<TensorParallelAggregator<Space, float, Materialized>, TensorParallel>(c);
  c.aggregation.form = plan::Form::fused;
  check_plans<TensorParallelAggregator<Space, float, Fused>, TensorParallel>(c);
}

TEST_CASE("distributed tokenization holds what was planned") {
  for (std::size_t channels : {20, 19}) { // slots are empty in the second
    auto c = config_of(plan::Strategy::distributed_tokenization, plan::Form::materialized);
    c.channels = channels;
    check_plans<DistributedTokenization<Space, float, Tree<CrossAttention>, Materialized>, TensorParallel>(c);
    c.aggregation.form = plan::Form::fused;
    check_plans<DistributedTokenization<Space, float, Tree<CrossAttention>, Fused>, TensorParallel>(c);
  }
}

} // namespace plan_memory_baselines
