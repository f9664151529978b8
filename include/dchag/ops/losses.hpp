// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/check.hpp>
#include <dchag/core/compiled.hpp>
#include <dchag/core/number.hpp>
#include <dchag/core/parallel.hpp>
#include <dchag/ops/patches.hpp>

namespace dchag::ops {

namespace detail {
// A kernel may not ask whether a gradient is wanted where it would first capture it (nvcc), so these do.
template <class Gradient, class T>
KOKKOS_FUNCTION void write([[maybe_unused]] Gradient const& gradient, [[maybe_unused]] std::size_t n,
                           [[maybe_unused]] std::size_t j, [[maybe_unused]] T value) {
  if constexpr (is_wanted<Gradient>) gradient(n, j) = value;
}
template <class Worker, class Gradient>
KOKKOS_FUNCTION void clear_row(Worker const& team, Gradient const& gradient, std::size_t n, std::size_t columns) {
  if constexpr (is_wanted<Gradient>) team.for_each(columns, [&](std::size_t j) { gradient(n, j) = 0; });
}
} // namespace detail

/// Mean squared error between a prediction by patches and an image, over the positions that count:
///
///     loss = sum over n, c, k of weight[n] (prediction[n, c s + k] - target(c, n, k))^2 / (C s sum over n of
///     weight[n])
///
/// and its gradient d_prediction (or `no_gradient`). The pixels of one patch are summed in T, the patches in double.
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
  require(!math::is_nan(total_weight) && total_weight > 0, "patch_mse: no position counts, the weights of all N = ", N,
          " positions sum to ", total_weight);
  if constexpr (is_wanted<DPrediction>) require_shape("patch_mse", "d_prediction", d_prediction, {N, C * s});
  using Worker = Team<ExecutionSpace>;
  T const factor = static_cast<T>(2 / count);
  double const squares = sum_over_teams(
      exec, "dchag::ops::patch_mse", N, KOKKOS_LAMBDA(Worker const& team, std::size_t n) {
        T const scaled = factor * weight(n);
        if (math::equal(weight(n), T(0))) { // the prediction may be anything there
          detail::clear_row(team, d_prediction, n, C * s);
          return 0.0;
        }
        auto const origin = target.origin(n);
        double const sum = team.template sum<double>(C, [&](std::size_t c) {
          T partial = 0;
          target.for_each_pixel(c, origin, [&](std::size_t k, auto const& pixel) {
            T const difference = prediction(n, c * s + k) - static_cast<T>(pixel);
            partial += difference * difference;
            detail::write(d_prediction, n, c * s + k, scaled * difference);
          });
          return static_cast<double>(partial);
        });
        return static_cast<double>(weight(n)) * sum;
      });
  return squares / count;
}

#define DCHAG_KERNELS_OF(ExecutionSpace, T)                                                                            \
  DCHAG_KERNEL double patch_mse(ExecutionSpace const&, HostPatches<T const> const&,                                    \
                                Tensor<ExecutionSpace, T, 2> const&, Tensor<ExecutionSpace, T, 1> const&,              \
                                Tensor<ExecutionSpace, T, 2> const&);                                                  \
  DCHAG_KERNEL double patch_mse(ExecutionSpace const&, HostPatches<T const> const&,                                    \
                                Tensor<ExecutionSpace, T, 2> const&, Tensor<ExecutionSpace, T, 1> const&,              \
                                NoGradient const&);
DCHAG_COMPILED(DCHAG_KERNELS_OF)
#undef DCHAG_KERNELS_OF

} // namespace dchag::ops
