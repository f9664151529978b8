// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause

// D-CHAG -C with every tree, on every mesh.
#include <support/strategies.hpp>

namespace models_strategies_cross_attention {

using namespace dchag;
using namespace dchag::test;
using parallel::SequenceParallel;
using parallel::TensorParallel;

TEST_CASE("D-CHAG -C, fused, trains as one rank does") {
  check_strategy<double, TensorParallel>("Tree0", grouped<CrossAttention, 0, Fused>());
  check_strategy<double, SequenceParallel>("Tree2", grouped<CrossAttention, 2, Fused>());
  check_strategy<double, TensorParallel>("Tree4", grouped<CrossAttention, 4, Fused>());
  check_strategy<double, SequenceParallel>("Tree8", grouped<CrossAttention, 8, Fused>(), fast);
}

TEST_CASE("D-CHAG -C, materialized, trains as one rank does") {
  check_strategy<double, SequenceParallel>("Tree0", grouped<CrossAttention, 0, Materialized>());
  check_strategy<double, TensorParallel>("Tree2", grouped<CrossAttention, 2, Materialized>());
  check_strategy<double, SequenceParallel>("Tree4", grouped<CrossAttention, 4, Materialized>());
  check_strategy<double, TensorParallel>("Tree8", grouped<CrossAttention, 8, Materialized>(), fast);
}

TEST_CASE("D-CHAG -C with the final heads shared trains as one rank does") {
  check_strategy<double, TensorParallel>("Tree2, materialized", grouped<CrossAttention, 2, Materialized, HeadShared>());
  check_strategy<double, SequenceParallel>("Tree0, fused", grouped<CrossAttention, 0, Fused, HeadShared>());
}

} // namespace models_strategies_cross_attention
