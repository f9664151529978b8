// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause

// Strategies that compute one cross-attention over all channels, on every mesh.
#include <dchag/channels/distributed_tokenization.hpp>
#include <dchag/channels/flat_aggregator.hpp>
#include <dchag/channels/tensor_parallel_aggregator.hpp>

#include <support/strategies.hpp>

using namespace dchag;
using namespace dchag::test;
using parallel::SequenceParallel;
using parallel::TensorParallel;
using Space = Kokkos::DefaultExecutionSpace;

TEST_CASE("tensor parallelism alone trains as one rank does") {
  check_strategy<double, TensorParallel>("tensor", [](Space const& exec, comm::Communicator const& tensor) {
    return TensorParallelAggregator<Space, double, Materialized>(exec, tensor, strategy_config());
  });
  check_strategy<double, SequenceParallel>("tensor, fused", [](Space const& exec, comm::Communicator const& tensor) {
    return TensorParallelAggregator<Space, double, Fused>(exec, tensor, strategy_config());
  });
}

TEST_CASE("distributed tokenization trains as one rank does") {
  check_strategy<double, TensorParallel>("tokens", [](Space const& exec, comm::Communicator const& tensor) {
    return DistributedTokenization<Space, double, Tree<CrossAttention>, Materialized>(exec, tensor, strategy_config());
  });
  check_strategy<double, TensorParallel>("tokens, fused", [](Space const& exec, comm::Communicator const& tensor) {
    return DistributedTokenization<Space, double, Tree<CrossAttention>, Fused>(exec, tensor, strategy_config());
  });
}

TEST_CASE("the exact flat cross-attention trains as one rank does, in double and in float") {
  check_strategy<double, SequenceParallel>("exact", [](Space const& exec, comm::Communicator const& tensor) {
    return FlatAggregator<Space, double>(exec, tensor, strategy_config());
  });
  check_strategy<double, TensorParallel>(
      "exact, materialized", [](Space const& exec, comm::Communicator const& tensor) {
        return FlatAggregator<Space, double, Materialized>(exec, tensor, strategy_config());
      });
  check_strategy<float, TensorParallel>("exact", [](Space const& exec, comm::Communicator const& tensor) {
    return FlatAggregator<Space, float>(exec, tensor, strategy_config());
  });
}

TEST_CASE("with dropout on, runs of the same mesh repeat bit for bit") {
  check_repeats<TensorParallel>([](Space const& exec, comm::Communicator const& tensor) {
    return FlatAggregator<Space, float>(exec, tensor, strategy_config());
  });
}
