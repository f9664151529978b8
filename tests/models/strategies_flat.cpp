// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause

// Strategies that compute one cross-attention over all channels, on every mesh.
#include <dchag/channels/distributed_tokenization.hpp>
#include <dchag/channels/flat_aggregator.hpp>
#include <dchag/channels/tensor_parallel_aggregator.hpp>

#include <support/strategies.hpp>

namespace models_strategies_flat {

using namespace dchag;
using namespace dchag::test;
using parallel::SequenceParallel;
using parallel::TensorParallel;
using Space = Kokkos::DefaultExecutionSpace;

namespace {
template <class Aggregator>
auto flat() {
  return strategy_of<Aggregator>(strategy_config());
}
} // namespace

TEST_CASE("tensor parallelism alone trains as one rank does") {
  check_strategy<double, TensorParallel>("materialized", flat<TensorParallelAggregator<Space, double, Materialized>>());
  check_strategy<double, SequenceParallel>("fused", flat<TensorParallelAggregator<Space, double, Fused>>());
}

TEST_CASE("distributed tokenization trains as one rank does") {
  using Flat = Tree<CrossAttention>;
  check_strategy<double, TensorParallel>("materialized",
                                         flat<DistributedTokenization<Space, double, Flat, Materialized>>());
  check_strategy<double, TensorParallel>("fused", flat<DistributedTokenization<Space, double, Flat, Fused>>());
}

TEST_CASE("the exact flat cross-attention trains as one rank does, in double and in float") {
  check_strategy<double, TensorParallel>("materialized", flat<FlatAggregator<Space, double, Materialized>>());
  check_strategy<double, SequenceParallel>("fused", flat<FlatAggregator<Space, double, Fused>>());
  check_strategy<float, TensorParallel>("fused", flat<FlatAggregator<Space, float, Fused>>());
}

TEST_CASE("with dropout on, runs of the same mesh repeat bit for bit") {
  check_repeats<float, TensorParallel>(flat<FlatAggregator<Space, float, Fused>>());
}

} // namespace models_strategies_flat
