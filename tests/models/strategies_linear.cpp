// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause

// D-CHAG -L with every tree, on every mesh.
#include <support/strategies.hpp>

using namespace dchag;
using namespace dchag::test;
using parallel::SequenceParallel;
using parallel::TensorParallel;
using Space = Kokkos::DefaultExecutionSpace;

namespace {
// The more tokens between the levels, the more channels: 8 groups of 2 to 10.
template <std::size_t tokens, class Form, class Final = CrossAttention>
auto grouped() {
  using Policy = std::conditional_t<tokens == 0, Tree<Linear>, Tree<Linear, tokens>>;
  return strategy_of<DistributedAggregator<Space, double, Policy, Final, Form>>(
      grouped_config(strategy_channels + 8 * tokens));
}
constexpr double fast = 4e-3; // what so many channels need to be learned in so few steps
} // namespace

TEST_CASE("D-CHAG -L, fused, trains as one rank does") {
  check_strategy<double, TensorParallel>("Tree0", grouped<0, Fused>());
  check_strategy<double, SequenceParallel>("Tree2", grouped<2, Fused>());
  check_strategy<double, TensorParallel>("Tree4", grouped<4, Fused>());
  check_strategy<double, SequenceParallel>("Tree8", grouped<8, Fused>(), fast);
}

TEST_CASE("D-CHAG -L, materialized, trains as one rank does") {
  check_strategy<double, SequenceParallel>("Tree0", grouped<0, Materialized>());
  check_strategy<double, TensorParallel>("Tree2", grouped<2, Materialized>());
  check_strategy<double, SequenceParallel>("Tree4", grouped<4, Materialized>());
  check_strategy<double, TensorParallel>("Tree8", grouped<8, Materialized>(), fast);
}
