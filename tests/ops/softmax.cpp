// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/ops/softmax.hpp>

#include <reference/softmax.hpp>
#include <support/arrays.hpp>
#include <support/gradient_check.hpp>
#include <support/spaces.hpp>

namespace ops_softmax {

using namespace dchag;
using namespace dchag::test;

TEST_CASE_TEMPLATE("softmax equals the definition, forward and backward, also in place", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  typename Case::ExecutionSpace const exec;
  double const bound = tolerance<T>(1e-5, 1e-12);
  for (std::size_t const N : {1u, 3u, 33u}) {
    for (std::size_t const M : {1u, 2u, 15u, 16u, 17u, 64u, 130u}) {
      CAPTURE(N);
      CAPTURE(M);
      auto const x = random_tensor<T>(exec, 1, "x", {N, M});
      auto const y = filled_tensor<T>(exec, {N, M}, nan_value);
      auto const expected = reference::softmax_forward(array_of(x));
      auto const d_y = random_tensor<T>(exec, 1, "d_y", {N, M});
      auto const d_x = filled_tensor<T>(exec, {N, M}, nan_value);
      auto const d_expected = reference::softmax_backward(array_of(x), array_of(d_y));
      ops::softmax_forward(exec, x, y);
      ops::softmax_backward(exec, y, d_y, d_x);
      ops::softmax_forward(exec, x, x);
      ops::softmax_backward(exec, y, d_y, d_y);
      exec.fence();
      CHECK(relative_error(y, expected.values) < bound);
      CHECK(relative_error(x, expected.values) < bound);
      // one column: 1 whatever x is, with a gradient that is zero but for rounding
      if (M == 1) continue;
      CHECK(relative_error(d_x, d_expected.values) < bound);
      CHECK(relative_error(d_y, d_expected.values) < bound);
    }
  }
}

TEST_CASE_TEMPLATE("softmax of extreme logits is finite and right", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  typename Case::ExecutionSpace const exec;
  auto const x = filled_tensor<T>(exec, {6, 4}, 0);
  assign(x, {80,  -80, 80,  0,   -80,  -80, -80, -80,   1e4,  -1e4,  0, 9999,
             1e4, 1e4, 1e4, 1e4, -1e4, -79, -80, -80.5, 1e30, -1e30, 0, 1e30});
  auto const y = filled_tensor<T>(exec, {6, 4}, nan_value);
  auto const d_y = random_tensor<T>(exec, 1, "d_y", {6, 4});
  auto const d_x = filled_tensor<T>(exec, {6, 4}, nan_value);
  ops::softmax_forward(exec, x, y);
  ops::softmax_backward(exec, y, d_y, d_x);
  exec.fence();
  double const bound = tolerance<T>(1e-5, 1e-12);
  CHECK(relative_error(y, reference::softmax_forward(array_of(x)).values) < bound);
  CHECK(relative_error(d_x, reference::softmax_backward(array_of(x), array_of(d_y)).values) < bound);
}

TEST_CASE_TEMPLATE("softmax: a logit of NaN makes its whole row NaN, and no other", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  typename Case::ExecutionSpace const exec;
  for (std::size_t const M : {5u, 40u})
    for (std::size_t const place : {std::size_t{0}, M / 2, M - 1}) {
      auto const x = random_tensor<T>(exec, 1, "x", {3, M});
      auto logits = flat(x);
      logits[M + place] = nan_value;
      assign(x, logits);
      ops::softmax_forward(exec, x, x);
      exec.fence();
      auto const y = flat(x);
      for (std::size_t i = 0; i < y.size(); ++i) CHECK(math::is_nan(y[i]) == (i / M == 1));
    }
}

TEST_CASE_TEMPLATE("softmax: the gradient equals finite differences", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  if (sizeof(T) != sizeof(double)) return;
  typename Case::ExecutionSpace const exec;
  auto const x = random_tensor<T>(exec, 1, "x", {4, 9});
  auto const y = filled_tensor<T>(exec, {4, 9}, nan_value);
  auto const d_y = random_tensor<T>(exec, 1, "d_y", {4, 9});
  auto const d_x = filled_tensor<T>(exec, {4, 9}, nan_value);
  auto const at = flat(x);
  auto const f = [&](std::vector<double> const& values) {
    assign(x, values);
    ops::softmax_forward(exec, x, y);
    exec.fence();
    return dot(flat(d_y), flat(y));
  };
  f(at);
  ops::softmax_backward(exec, y, d_y, d_x);
  exec.fence();
  CHECK(gradient_error(f, at, flat(d_x)) < 1e-6);
}

TEST_CASE_TEMPLATE("softmax: wrong shapes are errors", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  typename Case::ExecutionSpace const exec;
  auto const x = filled_tensor<T>(exec, {4, 3}, 1);
  auto const other = filled_tensor<T>(exec, {3, 4}, 1);
  auto const nothing = filled_tensor<T>(exec, {4, 0}, 1);
  CHECK_THROWS_WITH_AS(ops::softmax_forward(exec, x, other), "softmax_forward: y is (3, 4), expected (4, 3)",
                       ShapeError);
  CHECK_THROWS_WITH_AS(ops::softmax_forward(exec, nothing, nothing),
                       "softmax_forward: x is (4, 0), expected at least one column", ShapeError);
  CHECK_THROWS_AS(ops::softmax_backward(exec, x, other, x), ShapeError);
  CHECK_THROWS_AS(ops::softmax_backward(exec, x, x, other), ShapeError);
}

} // namespace ops_softmax
