// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/ops/linear.hpp>

#include <reference/linear.hpp>
#include <support/arrays.hpp>
#include <support/gradient_check.hpp>
#include <support/spaces.hpp>

namespace ops_linear {

using namespace dchag;
using namespace dchag::test;

namespace {

struct Sizes {
  std::size_t N, K, M;
};
constexpr Sizes all_sizes[] = {{1, 1, 1}, {1, 7, 5}, {33, 64, 65}, {257, 31, 130}, {700, 3, 2}, {2, 130, 63}};

} // namespace

TEST_CASE_TEMPLATE("linear, bias and column sums equal the definition, forward and backward", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  typename Case::ExecutionSpace const exec;
  double const bound = tolerance<T>(1e-5, 1e-12);
  for (auto const& sizes : all_sizes) {
    std::size_t const N = sizes.N, K = sizes.K, M = sizes.M;
    CAPTURE(N);
    CAPTURE(K);
    CAPTURE(M);
    auto const x = random_tensor<T>(exec, 1, "x", {N, K});
    auto const weight = random_tensor<T>(exec, 1, "weight", {M, K});
    auto const bias = random_tensor<T>(exec, 1, "bias", {M});
    auto const y = filled_tensor<T>(exec, {N, M}, nan_value);
    ops::linear_forward(exec, x, weight, y);
    ops::add_bias(exec, bias, y);
    exec.fence();
    CHECK(relative_error(y, reference::linear_forward(array_of(x), array_of(weight), array_of(bias)).values) < bound);

    auto const d_y = random_tensor<T>(exec, 1, "d_y", {N, M});
    auto const d_x = filled_tensor<T>(exec, {N, K}, nan_value);
    auto const d_weight = random_tensor<T>(exec, 1, "d_weight", {M, K});
    auto const d_bias = random_tensor<T>(exec, 1, "d_bias", {M});
    auto const weight_before = flat(d_weight);
    auto const bias_before = flat(d_bias);
    ops::linear_backward(exec, x, weight, d_y, d_weight, d_x);
    ops::add_column_sums(exec, d_y, d_bias);
    exec.fence();
    auto const expected = reference::linear_backward(array_of(x), array_of(weight), array_of(d_y));
    auto const expected_weight = sum_of(expected.d_weight.values, weight_before);
    CHECK(relative_error(d_x, expected.d_x.values) < bound);
    CHECK(relative_error(d_weight, expected_weight) < bound);
    CHECK(relative_error(d_bias, sum_of(expected.d_bias.values, bias_before)) < bound);

    assign(d_weight, weight_before);
    ops::linear_backward(exec, x, weight, d_y, d_weight, no_gradient);
    exec.fence();
    CHECK(relative_error(d_weight, expected_weight) < bound);
  }
}

TEST_CASE_TEMPLATE("linear: backward is the adjoint of forward, in the input and in the weight", Case,
                   DCHAG_TEST_CASES) {
  using T = typename Case::T;
  typename Case::ExecutionSpace const exec;
  auto const x = random_tensor<T>(exec, 1, "x", {65, 33});
  auto const weight = random_tensor<T>(exec, 1, "weight", {31, 33});
  auto const y = filled_tensor<T>(exec, {65, 31}, nan_value);
  auto const d_y = random_tensor<T>(exec, 1, "d_y", {65, 31});
  auto const d_weight = filled_tensor<T>(exec, {31, 33}, 0);
  auto const d_x = filled_tensor<T>(exec, {65, 33}, nan_value);
  ops::linear_forward(exec, x, weight, y);
  ops::linear_backward(exec, x, weight, d_y, d_weight, d_x);
  exec.fence();
  double const forward = dot(flat(d_y), flat(y));
  CHECK(relative_difference(forward, dot(flat(d_x), flat(x))) < tolerance<T>(1e-4, 1e-11));
  CHECK(relative_difference(forward, dot(flat(d_weight), flat(weight))) < tolerance<T>(1e-4, 1e-11));
}

TEST_CASE_TEMPLATE("linear: gradients equal finite differences", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  if (sizeof(T) != sizeof(double)) return;
  typename Case::ExecutionSpace const exec;
  auto const x = random_tensor<T>(exec, 1, "x", {7, 5});
  auto const weight = random_tensor<T>(exec, 1, "weight", {3, 5});
  auto const bias = random_tensor<T>(exec, 1, "bias", {3});
  auto const y = filled_tensor<T>(exec, {7, 3}, nan_value);
  auto const d_y = random_tensor<T>(exec, 1, "d_y", {7, 3});
  auto const d_x = filled_tensor<T>(exec, {7, 5}, nan_value);
  auto const d_weight = filled_tensor<T>(exec, {3, 5}, 0);
  auto const d_bias = filled_tensor<T>(exec, {3}, 0);
  ops::linear_backward(exec, x, weight, d_y, d_weight, d_x);
  ops::add_column_sums(exec, d_y, d_bias);
  exec.fence();
  auto const by = [&](auto const& input) {
    return [&, input](std::vector<double> const& values) {
      auto const before = flat(input);
      assign(input, values);
      ops::linear_forward(exec, x, weight, y);
      ops::add_bias(exec, bias, y);
      exec.fence();
      assign(input, before);
      return dot(flat(d_y), flat(y));
    };
  };
  CHECK(gradient_error(by(x), flat(x), flat(d_x)) < 1e-6);
  CHECK(gradient_error(by(weight), flat(weight), flat(d_weight)) < 1e-6);
  CHECK(gradient_error(by(bias), flat(bias), flat(d_bias)) < 1e-6);
}

TEST_CASE_TEMPLATE("linear: wrong shapes are errors", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  typename Case::ExecutionSpace const exec;
  auto const x = filled_tensor<T>(exec, {4, 3}, 1);
  auto const weight = filled_tensor<T>(exec, {5, 3}, 1);
  auto const y = filled_tensor<T>(exec, {4, 5}, 1);
  auto const three = filled_tensor<T>(exec, {3}, 1);
  CHECK_THROWS_WITH_AS(ops::add_bias(exec, three, y), "add_bias: bias is (3), expected (5)", ShapeError);
  CHECK_THROWS_WITH_AS(ops::add_column_sums(exec, y, three), "add_column_sums: d_bias is (3), expected (5)",
                       ShapeError);
  CHECK_THROWS_AS(ops::linear_forward(exec, y, weight, x), ShapeError);
  CHECK_THROWS_AS(ops::linear_backward(exec, x, weight, x, weight, x), ShapeError);
  CHECK_THROWS_AS(ops::linear_backward(exec, x, weight, y, weight, y), ShapeError);
}

} // namespace ops_linear
