// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/ops/gelu.hpp>

#include <reference/gelu.hpp>
#include <support/arrays.hpp>
#include <support/gradient_check.hpp>
#include <support/spaces.hpp>

namespace ops_gelu {

using namespace dchag;
using namespace dchag::test;

namespace {

std::vector<double> reference_forward(std::vector<double> x) {
  for (double& value : x) value = reference::gelu(value);
  return x;
}

std::vector<double> reference_backward(std::vector<double> const& x, std::vector<double> d_y) {
  for (std::size_t i = 0; i < x.size(); ++i) d_y[i] *= reference::gelu_derivative(x[i]);
  return d_y;
}

} // namespace

TEST_CASE_TEMPLATE("gelu equals the definition, forward and backward, also in place", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  typename Case::ExecutionSpace const exec;
  double const bound = tolerance<T>(1e-5, 1e-12);
  for (auto const& shape : std::vector<Extents<2>>{{1, 1}, {3, 7}, {65, 64}, {2, 130}}) {
    std::size_t const N = shape[0], M = shape[1];
    CAPTURE(N);
    CAPTURE(M);
    auto const x = random_tensor<T>(exec, 1, "x", {N, M});
    auto const d_y = random_tensor<T>(exec, 1, "d_y", {N, M});
    auto const y = filled_tensor<T>(exec, {N, M}, nan_value);
    auto const d_x = filled_tensor<T>(exec, {N, M}, nan_value);
    auto const expected = reference_forward(flat(x));
    auto const d_expected = reference_backward(flat(x), flat(d_y));
    ops::gelu_forward(exec, x, y);
    ops::gelu_backward(exec, x, d_y, d_x);
    ops::gelu_backward(exec, x, d_y, d_y);
    exec.fence();
    CHECK(relative_error(y, expected) < bound);
    CHECK(relative_error(d_x, d_expected) < bound);
    CHECK(relative_error(d_y, d_expected) < bound);
    ops::gelu_forward(exec, x, x);
    exec.fence();
    CHECK(relative_error(x, expected) < bound);
  }
}

TEST_CASE_TEMPLATE("gelu far from zero is x or nothing", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  typename Case::ExecutionSpace const exec;
  auto const x = filled_tensor<T>(exec, {3, 4}, 0);
  assign(x, {-1e4, -80, -12, -6, -4, -1e-8, 0, 1e-8, 4, 12, 80, 1e4});
  auto const y = filled_tensor<T>(exec, {3, 4}, nan_value);
  auto const ones = filled_tensor<T>(exec, {3, 4}, 1);
  auto const d_x = filled_tensor<T>(exec, {3, 4}, nan_value);
  ops::gelu_forward(exec, x, y);
  ops::gelu_backward(exec, x, ones, d_x);
  exec.fence();
  auto const at = flat(x);
  auto const found = flat(y);
  auto const d_found = flat(d_x);
  for (std::size_t i = 0; i < at.size(); ++i) {
    CAPTURE(at[i]);
    // the error of erf is absolute, so that of x Phi(x) grows with x
    CHECK(std::fabs(found[i] - reference::gelu(at[i])) <= tolerance<T>(4e-7, 1e-15) * std::max(1.0, std::fabs(at[i])));
    CHECK(std::fabs(d_found[i] - reference::gelu_derivative(at[i])) <= tolerance<T>(1e-6, 1e-15));
  }
}

TEST_CASE_TEMPLATE("gelu: the gradient equals finite differences", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  if (sizeof(T) != sizeof(double)) return;
  typename Case::ExecutionSpace const exec;
  auto const x = random_tensor<T>(exec, 1, "x", {5, 7});
  auto const y = filled_tensor<T>(exec, {5, 7}, nan_value);
  auto const d_y = random_tensor<T>(exec, 1, "d_y", {5, 7});
  auto const d_x = filled_tensor<T>(exec, {5, 7}, nan_value);
  ops::gelu_backward(exec, x, d_y, d_x);
  exec.fence();
  auto const f = [&](std::vector<double> const& values) {
    assign(x, values);
    ops::gelu_forward(exec, x, y);
    exec.fence();
    return dot(flat(d_y), flat(y));
  };
  CHECK(gradient_error(f, flat(x), flat(d_x)) < 1e-6);
}

TEST_CASE_TEMPLATE("gelu: wrong shapes are errors", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  typename Case::ExecutionSpace const exec;
  auto const x = filled_tensor<T>(exec, {4, 3}, 1);
  auto const other = filled_tensor<T>(exec, {3, 4}, 1);
  CHECK_THROWS_WITH_AS(ops::gelu_forward(exec, x, other), "gelu_forward: y is (3, 4), expected (4, 3)", ShapeError);
  CHECK_THROWS_AS(ops::gelu_backward(exec, x, other, x), ShapeError);
  CHECK_THROWS_AS(ops::gelu_backward(exec, x, x, other), ShapeError);
}

} // namespace ops_gelu
