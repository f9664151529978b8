// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/check.hpp>
#include <dchag/core/parallel.hpp>

namespace dchag::ops {

/// Mean squared error between a prediction by patches and an image, over the positions that count:
///
///     loss = sum over n, c, k of weight[n] (prediction[n, c s + k] - target(c, n, k))^2 / (C s sum over n of
///     weight[n])
///
/// and its gradient d_prediction (or `no_gradient`). The sum is taken in double.
/// Shapes: target reads (C, N, s) patches (see `Patches`); prediction, d_prediction (N, C s); weight (N).
/// Throws: ShapeError.
template <KokkosExecutionSpace ExecutionSpace, class Source, TensorView<2> Prediction, TensorView<1> Weight,
          GradientView<2> DPrediction>
double patch_mse(ExecutionSpace const& exec, Source const& target, Prediction const& prediction, Weight const& weight,
                 DPrediction const& d_prediction) {
  using T = typename Prediction::non_const_value_type;
  using Policy = Kokkos::RangePolicy<ExecutionSpace, Kokkos::IndexType<std::size_t>>;
  std::size_t const N = target.count();
  std::size_t const C = target.channels();
  std::size_t const s = target.pixels();
  require_shape("patch_mse", "prediction", prediction, {N, C * s});
  require_shape("patch_mse", "weight", weight, {N});
  double total_weight = 0;
  Kokkos::parallel_reduce(
      "dchag::ops::patch_mse_weight", Policy(exec, 0, N),
      KOKKOS_LAMBDA(std::size_t n, double& sum) { sum += static_cast<double>(weight(n)); }, total_weight);
  double const count = total_weight * static_cast<double>(C * s);
  require(total_weight > 0, "patch_mse: no position counts, the weights of all N = ", N, " positions sum to ",
          total_weight);
  double loss = 0;
  Kokkos::parallel_reduce(
      "dchag::ops::patch_mse", Policy(exec, 0, N),
      KOKKOS_LAMBDA(std::size_t n, double& sum) {
        if (weight(n) == T(0)) return;
        double squares = 0;
        for (std::size_t c = 0; c < C; ++c) {
          T partial = 0;
          for (std::size_t k = 0; k < s; ++k) {
            T const difference = prediction(n, c * s + k) - static_cast<T>(target(c, n, k));
            partial += difference * difference;
          }
          squares += static_cast<double>(partial);
        }
        sum += static_cast<double>(weight(n)) * squares;
      },
      loss);
  if constexpr (is_wanted<DPrediction>) {
    require_shape("patch_mse", "d_prediction", d_prediction, {N, C * s});
    T const factor = static_cast<T>(2 / count);
    for_each_element(
        exec, "dchag::ops::patch_mse_gradient", N * C, s, KOKKOS_LAMBDA(std::size_t row, std::size_t k) {
          std::size_t const n = row / C;
          std::size_t const c = row % C;
          T const scaled = factor * weight(n);
          d_prediction(n, c * s + k) =
              scaled == T(0) ? T(0) : scaled * (prediction(n, c * s + k) - static_cast<T>(target(c, n, k)));
        });
  }
  return loss / count;
}

} // namespace dchag::ops
