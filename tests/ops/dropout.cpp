// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/ops/dropout.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <support/arrays.hpp>
#include <support/spaces.hpp>

namespace ops_dropout {

using namespace dchag;
using namespace dchag::test;

namespace {

/// What of a branch of ones is left.
template <class Case>
std::vector<double> kept(ops::DropoutMask const& mask, std::size_t N, std::size_t D) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Space const exec;
  auto const x = filled_tensor<T>(exec, {N, D}, 0);
  auto const branch = filled_tensor<T>(exec, {N, D}, 1);
  ops::add_dropped(exec, mask, x, branch, branch);
  exec.fence();
  return flat(branch);
}

} // namespace

TEST_CASE_TEMPLATE("dropout keeps the share it should, scaled to the same mean", Case, DCHAG_TEST_CASES) {
  for (double const rate : {0.1, 0.5, 0.9}) {
    auto const factors = kept<Case>({.key = 99, .step = 4, .first_row = 7, .rate = rate}, 400, 101);
    double dropped = 0;
    for (double f : factors) {
      CHECK((f == 0 || std::abs(f * (1 - rate) - 1) < 1e-6));
      dropped += f == 0;
    }
    auto const n = static_cast<double>(factors.size());
    CHECK(std::abs(dropped / n - rate) < 5 * std::sqrt(rate * (1 - rate) / n));
  }
}

TEST_CASE_TEMPLATE("what is dropped depends on key, step, row and feature alone", Case, DCHAG_TEST_CASES) {
  ops::DropoutMask const mask{.key = 99, .step = 4, .first_row = 0, .rate = 0.5};
  auto const all = kept<Case>(mask, 20, 13);
  CHECK(kept<Case>(mask, 20, 13) == all);
  auto later = mask;
  later.first_row = 5;
  CHECK(kept<Case>(later, 15, 13) == std::vector(all.begin() + 5 * 13, all.end()));
  auto other = mask;
  other.step = 5;
  CHECK(kept<Case>(other, 20, 13) != all);
  other = mask;
  other.key = std::uint64_t{99} << 32;
  CHECK(kept<Case>(other, 20, 13) != all);
  other = mask;
  other.first_row = std::size_t{1} << 32;
  CHECK(kept<Case>(other, 20, 13) != all);
}

TEST_CASE_TEMPLATE("the backward pass drops what the forward pass did", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Space const exec;
  ops::DropoutMask const mask{.key = 3, .step = 1, .first_row = 2, .rate = 0.3};
  auto const factors = kept<Case>(mask, 9, 7);
  auto const x = random_tensor<T>(exec, 1, "x", {9, 7});
  auto const branch = random_tensor<T>(exec, 1, "branch", {9, 7});
  auto const expected_x = flat(x);
  auto const before = flat(branch);
  ops::add_dropped(exec, mask, x, branch, x);
  ops::add_dropped_backward(exec, mask, branch, branch);
  exec.fence();
  auto const y = flat(x);
  auto const d = flat(branch);
  for (std::size_t i = 0; i < y.size(); ++i) {
    CHECK(y[i] == doctest::Approx(expected_x[i] + factors[i] * before[i]).epsilon(1e-6));
    CHECK(d[i] == doctest::Approx(factors[i] * before[i]).epsilon(1e-6));
  }
}

} // namespace ops_dropout
