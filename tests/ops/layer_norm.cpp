// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/ops/layer_norm.hpp>

#include <reference/layer_norm.hpp>
#include <support/arrays.hpp>
#include <support/gradient_check.hpp>
#include <support/spaces.hpp>

namespace ops_layer_norm {

using namespace dchag;
using namespace dchag::test;

namespace {

constexpr double epsilon = 1e-5;

template <class Space, class T>
struct Norm {
  Norm(Space const& space, std::size_t rows, std::size_t columns)
      : exec(space), N(rows), D(columns), x(random_tensor<T>(exec, 1, "x", {N, D})),
        scale(random_tensor<T>(exec, 1, "scale", {D})), shift(random_tensor<T>(exec, 1, "shift", {D})),
        y(filled_tensor<T>(exec, {N, D}, nan_value)), mean(filled_tensor<T>(exec, {N}, nan_value)),
        rstd(filled_tensor<T>(exec, {N}, nan_value)), d_y(random_tensor<T>(exec, 1, "d_y", {N, D})),
        d_x(filled_tensor<T>(exec, {N, D}, nan_value)), d_scale(random_tensor<T>(exec, 1, "d_scale", {D})),
        d_shift(random_tensor<T>(exec, 1, "d_shift", {D})) {}

  void forward() const {
    ops::layer_norm_forward(exec, x, scale, shift, static_cast<T>(epsilon), y, mean, rstd);
    exec.fence();
  }
  void backward() const {
    ops::layer_norm_backward(exec, x, scale, mean, rstd, d_y, d_scale, d_shift, d_x);
    exec.fence();
  }
  void check(double bound) const {
    auto const expected = reference::layer_norm_forward(array_of(x), array_of(scale), array_of(shift), epsilon);
    auto const scale_before = flat(d_scale);
    auto const shift_before = flat(d_shift);
    forward();
    CHECK(relative_error(y, expected.y.values) < bound);
    CHECK(relative_error(mean, expected.mean.values) < bound);
    CHECK(relative_error(rstd, expected.rstd.values) < bound);
    auto const gradients = reference::layer_norm_backward(array_of(x), array_of(scale), epsilon, array_of(d_y));
    backward();
    CHECK(relative_error(d_x, gradients.d_x.values) < bound);
    CHECK(relative_error(d_scale, sum_of(gradients.d_scale.values, scale_before)) < bound);
    CHECK(relative_error(d_shift, sum_of(gradients.d_shift.values, shift_before)) < bound);
  }

  Space exec;
  std::size_t N, D;
  Tensor<Space, T, 2> x;
  Tensor<Space, T, 1> scale, shift;
  Tensor<Space, T, 2> y;
  Tensor<Space, T, 1> mean, rstd;
  Tensor<Space, T, 2> d_y, d_x;
  Tensor<Space, T, 1> d_scale, d_shift;
};

} // namespace

TEST_CASE_TEMPLATE("layer_norm equals the definition, forward and backward", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  typename Case::ExecutionSpace const exec;
  for (auto const& shape : std::vector<Extents<2>>{{1, 3}, {3, 7}, {5, 64}, {2, 65}, {257, 15}, {600, 130}, {1, 768}}) {
    std::size_t const N = shape[0], D = shape[1];
    CAPTURE(N);
    CAPTURE(D);
    Norm<typename Case::ExecutionSpace, T>(exec, N, D).check(tolerance<T>(1e-5, 1e-12));
  }
}

TEST_CASE_TEMPLATE("layer_norm of one column is the shift, and has no gradient", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  Norm<typename Case::ExecutionSpace, T> const norm({}, 5, 1);
  norm.forward();
  norm.backward();
  // the variance is nothing but rounding, which 1 / sqrt(epsilon) = 316 magnifies
  CHECK(relative_error(norm.y, std::vector<double>(5, flat(norm.shift)[0])) < tolerance<T>(1e-4, 1e-12));
  CHECK(relative_error(norm.d_x, std::vector<double>(5, 0)) < tolerance<T>(1e-4, 1e-12));
}

TEST_CASE_TEMPLATE("layer_norm keeps its digits when the mean is far from zero", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  Norm<typename Case::ExecutionSpace, T> const norm({}, 9, 96);
  auto values = flat(norm.x);
  for (double& value : values) value += 1000;
  assign(norm.x, values);
  // the rounding of the mean, 1000 times that of a number, stays in every difference from it
  norm.check(tolerance<T>(1e-3, 1e-11));
}

TEST_CASE_TEMPLATE("layer_norm: d_x may be d_y", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  Norm<typename Case::ExecutionSpace, T> norm({}, 33, 70);
  norm.forward();
  auto const expected =
      reference::layer_norm_backward(array_of(norm.x), array_of(norm.scale), epsilon, array_of(norm.d_y));
  norm.d_x = norm.d_y;
  norm.backward();
  CHECK(relative_error(norm.d_x, expected.d_x.values) < tolerance<T>(1e-5, 1e-12));
}

TEST_CASE_TEMPLATE("layer_norm: gradients equal finite differences", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  if (sizeof(T) != sizeof(double)) return;
  Norm<typename Case::ExecutionSpace, T> const norm({}, 5, 9);
  Kokkos::deep_copy(norm.d_scale, T(0));
  Kokkos::deep_copy(norm.d_shift, T(0));
  norm.forward();
  norm.backward();
  auto const by = [&](auto const& input) {
    return [&, input](std::vector<double> const& values) {
      auto const before = flat(input);
      assign(input, values);
      norm.forward();
      assign(input, before);
      return dot(flat(norm.d_y), flat(norm.y));
    };
  };
  CHECK(gradient_error(by(norm.x), flat(norm.x), flat(norm.d_x)) < 1e-6);
  CHECK(gradient_error(by(norm.scale), flat(norm.scale), flat(norm.d_scale)) < 1e-6);
  CHECK(gradient_error(by(norm.shift), flat(norm.shift), flat(norm.d_shift)) < 1e-6);
}

TEST_CASE_TEMPLATE("layer_norm: wrong shapes are errors", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  using Any = Norm<Space, T>;
  Space const exec;
  Any const fits(exec, 4, 6);
  Any const other(exec, 3, 5);
  auto const refused = [&](auto Any::*member) {
    auto wrong = fits;
    wrong.*member = other.*member;
    CHECK_THROWS_AS(wrong.forward(), ShapeError);
  };
  refused(&Any::y);
  refused(&Any::scale);
  refused(&Any::shift);
  refused(&Any::mean);
  refused(&Any::rstd);
  auto wrong = fits;
  wrong.d_y = other.d_y;
  CHECK_THROWS_WITH_AS(wrong.backward(), "layer_norm_backward: d_y is (3, 5), expected (4, 6)", ShapeError);
  wrong = fits;
  wrong.d_x = other.d_x;
  CHECK_THROWS_AS(wrong.backward(), ShapeError);
}

} // namespace ops_layer_norm
