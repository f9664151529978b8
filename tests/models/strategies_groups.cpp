// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause

// Strategies that give each rank groups of channels, on every mesh.
#include <dchag/channels/distributed_aggregator.hpp>

#include <support/strategies.hpp>

using namespace dchag;
using namespace dchag::test;
using parallel::SequenceParallel;
using parallel::TensorParallel;
using Space = Kokkos::DefaultExecutionSpace;

namespace {
template <class Tree, class Final, class Form>
auto grouped() {
  return [](Space const& exec, comm::Communicator const& tensor) {
    return DistributedAggregator<Space, double, Tree, Final, Form>(exec, tensor, grouped_config());
  };
}
} // namespace

TEST_CASE("D-CHAG -C, fused, trains as one rank does") {
  check_strategy<double, TensorParallel>("-C Tree0", grouped<Tree<CrossAttention>, CrossAttention, Fused>());
}

TEST_CASE("D-CHAG -C, materialized, with the final heads shared, trains as one rank does") {
  check_strategy<double, TensorParallel>("-C Tree2", grouped<Tree<CrossAttention, 2>, HeadShared, Materialized>());
}

TEST_CASE("D-CHAG -C, fused, with the final heads shared, trains as one rank does") {
  check_strategy<double, TensorParallel>("-C Tree0", grouped<Tree<CrossAttention>, HeadShared, Fused>());
}

TEST_CASE("D-CHAG -L, fused, trains as one rank does") {
  check_strategy<double, SequenceParallel>("-L Tree2", grouped<Tree<Linear, 2>, CrossAttention, Fused>());
}

TEST_CASE("D-CHAG -L, materialized, trains as one rank does") {
  check_strategy<double, SequenceParallel>("-L Tree0", grouped<Tree<Linear>, CrossAttention, Materialized>());
}
