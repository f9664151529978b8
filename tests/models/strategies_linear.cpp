// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause

// D-CHAG -L with every tree, on every mesh.
#include <support/strategies.hpp>

namespace models_strategies_linear {

using namespace dchag;
using namespace dchag::test;
using parallel::SequenceParallel;
using parallel::TensorParallel;

TEST_CASE("D-CHAG -L, fused, trains as one rank does") {
  check_strategy<double, TensorParallel>("Tree0", grouped<Linear, 0, Fused>());
  check_strategy<double, SequenceParallel>("Tree2", grouped<Linear, 2, Fused>());
  check_strategy<double, TensorParallel>("Tree4", grouped<Linear, 4, Fused>());
  check_strategy<double, SequenceParallel>("Tree8", grouped<Linear, 8, Fused>(), fast);
}

TEST_CASE("D-CHAG -L, materialized, trains as one rank does") {
  check_strategy<double, SequenceParallel>("Tree0", grouped<Linear, 0, Materialized>());
  check_strategy<double, TensorParallel>("Tree2", grouped<Linear, 2, Materialized>());
  check_strategy<double, SequenceParallel>("Tree4", grouped<Linear, 4, Materialized>());
  check_strategy<double, TensorParallel>("Tree8", grouped<Linear, 8, Materialized>(), fast);
}

} // namespace models_strategies_linear
