// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/ops/losses.hpp>
#include <dchag/ops/patches.hpp>

#include <reference/losses.hpp>
#include <reference/patches.hpp>
#include <support/arrays.hpp>
#include <support/gradient_check.hpp>
#include <support/spaces.hpp>

namespace ops_losses {

using namespace dchag;
using namespace dchag::test;

namespace {

template <class Space, class T>
struct Loss {
  Loss(Space const& space, std::size_t B, std::size_t C, std::size_t rows, std::size_t columns, std::size_t p)
      : exec(space), N(B * rows * columns), width(C * p * p),
        image(random_tensor<T>(exec, 1, "image", {B, C, rows * p, columns * p})), target{image, p, {}, {}},
        prediction(random_tensor<T>(exec, 1, "prediction", {N, width})),
        weight(random_tensor<T>(exec, 1, "weight", {N})), d_prediction(filled_tensor<T>(exec, {N, width}, nan_value)) {
    auto weights = flat(weight);
    for (std::size_t n = 0; n < N; ++n) weights[n] = n % 3 == 1 ? 0 : std::fabs(weights[n]); // a mask with shades
    assign(weight, weights);
  }
  double operator()() const { return ops::patch_mse(exec, target, prediction, weight, d_prediction); }
  reference::PatchMse expected() const {
    auto const pixels = array_of(image);
    return reference::patch_mse(reference::gather_patches(pixels, reference::whole(pixels, target.patch)),
                                array_of(prediction), array_of(weight));
  }

  Space exec;
  std::size_t N, width;
  Tensor<Space, T, 4> image;
  ops::Patches<Tensor<Space, T, 4>, typename Space::memory_space> target;
  Tensor<Space, T, 2> prediction;
  Tensor<Space, T, 1> weight;
  Tensor<Space, T, 2> d_prediction;
};

} // namespace

TEST_CASE_TEMPLATE("patch_mse equals the definition, with its gradient and without", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  typename Case::ExecutionSpace const exec;
  double const bound = tolerance<T>(1e-5, 1e-12);
  for (auto const& size :
       std::vector<Extents<5>>{{1, 1, 1, 1, 1}, {2, 3, 5, 4, 2}, {1, 7, 3, 3, 3}, {3, 2, 2, 9, 16}}) {
    CAPTURE(size[4]);
    Loss<typename Case::ExecutionSpace, T> const loss(exec, size[0], size[1], size[2], size[3], size[4]);
    auto const expected = loss.expected();
    CHECK(relative_difference(loss(), expected.loss) < bound);
    exec.fence();
    CHECK(relative_error(loss.d_prediction, expected.d_prediction.values) < bound);
    CHECK(relative_difference(ops::patch_mse(exec, loss.target, loss.prediction, loss.weight, no_gradient),
                              expected.loss) < bound);
  }
}

TEST_CASE_TEMPLATE("patch_mse does not look at positions that do not count", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  Loss<typename Case::ExecutionSpace, T> const loss({}, 2, 3, 5, 4, 2);
  auto const expected = loss.expected();
  auto prediction = array_of(loss.prediction);
  for (std::size_t n = 1; n < loss.N; n += 3)
    for (std::size_t j = 0; j < loss.width; ++j) prediction(n, j) = nan_value;
  assign(loss.prediction, prediction.values);
  CHECK(relative_difference(loss(), expected.loss) < tolerance<T>(1e-5, 1e-12));
  CHECK(relative_error(loss.d_prediction, expected.d_prediction.values) < tolerance<T>(1e-5, 1e-12));
}

TEST_CASE_TEMPLATE("patch_mse of the target itself is zero", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  Loss<typename Case::ExecutionSpace, T> const loss({}, 1, 1, 3, 5, 1); // one channel, one pixel: patches are the image
  assign(loss.prediction, flat(loss.image));
  CHECK(loss() == 0);
  CHECK(flat(loss.d_prediction) == std::vector<double>(15, 0));
}

TEST_CASE_TEMPLATE("patch_mse: the gradient equals finite differences", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  if (sizeof(T) != sizeof(double)) return;
  Loss<typename Case::ExecutionSpace, T> const loss({}, 2, 3, 3, 2, 2);
  loss();
  auto const gradient = flat(loss.d_prediction);
  auto const f = [&](std::vector<double> const& values) {
    assign(loss.prediction, values);
    return loss();
  };
  CHECK(gradient_error(f, flat(loss.prediction), gradient) < 1e-6);
}

TEST_CASE_TEMPLATE("patch_mse: wrong shapes and weights of zero are errors", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  typename Case::ExecutionSpace const exec;
  Loss<typename Case::ExecutionSpace, T> const loss(exec, 2, 3, 3, 2, 2);
  auto const other = filled_tensor<T>(exec, {12, 11}, 1);
  auto const eleven = filled_tensor<T>(exec, {11}, 1);
  CHECK_THROWS_WITH_AS(ops::patch_mse(exec, loss.target, other, loss.weight, no_gradient),
                       "patch_mse: prediction is (12, 11), expected (12, 12)", ShapeError);
  CHECK_THROWS_AS(ops::patch_mse(exec, loss.target, loss.prediction, eleven, no_gradient), ShapeError);
  CHECK_THROWS_AS(ops::patch_mse(exec, loss.target, loss.prediction, loss.weight, other), ShapeError);
  Kokkos::deep_copy(loss.weight, T(0));
  CHECK_THROWS_WITH_AS(loss(), "patch_mse: no position counts, the weights of all N = 12 positions sum to 0",
                       ShapeError);
}

} // namespace ops_losses
