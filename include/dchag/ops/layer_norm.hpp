// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/check.hpp>
#include <dchag/core/compiled.hpp>
#include <dchag/core/parallel.hpp>

namespace dchag::ops {

/// y = scale (x - mean) / sqrt(variance + epsilon) + shift over the last axis.
///
/// Shapes: x, y (N, D); scale, shift (D); mean, rstd (N) are kept for the backward pass.
/// Source: Ba et al. 2016; biased variance, as PyTorch.
template <KokkosExecutionSpace ExecutionSpace, TensorView<2> X, TensorView<1> Scale, TensorView<1> Shift,
          TensorView<2> Y, TensorView<1> Mean, TensorView<1> Rstd>
void layer_norm_forward(ExecutionSpace const& exec, X const& x, Scale const& scale, Shift const& shift,
                        typename Y::value_type epsilon, Y const& y, Mean const& mean, Rstd const& rstd) {
  using T = typename Y::value_type;
  using Worker = Team<ExecutionSpace>;
  std::size_t const N = x.extent(0);
  std::size_t const D = x.extent(1);
  require_shape("layer_norm_forward", "y", y, {N, D});
  require_shape("layer_norm_forward", "scale", scale, {D});
  require_shape("layer_norm_forward", "shift", shift, {D});
  require_shape("layer_norm_forward", "mean", mean, {N});
  require_shape("layer_norm_forward", "rstd", rstd, {N});
  for_each_team(
      exec, "dchag::ops::layer_norm_forward", N, KOKKOS_LAMBDA(Worker const& team, std::size_t n) {
        T const average = team.template sum<T>(D, [&](std::size_t j) { return x(n, j); }) / static_cast<T>(D);
        T const variance = team.template sum<T>(D, [&](std::size_t j) {
          T const difference = x(n, j) - average;
          return difference * difference;
        }) / static_cast<T>(D);
        T const scaling = T(1) / math::sqrt(variance + epsilon);
        team.for_each(D, [&](std::size_t j) { y(n, j) = scale(j) * ((x(n, j) - average) * scaling) + shift(j); });
        team.once([&] {
          mean(n) = average;
          rstd(n) = scaling;
        });
      });
}

/// With z = (x - mean) rstd and g = scale d_y:  d_x = rstd (g - mean(g) - z mean(g z)),
/// d_scale += sum over n of d_y z,  d_shift += sum over n of d_y.
///
/// Shapes: as forward. d_x may be d_y.
template <KokkosExecutionSpace ExecutionSpace, TensorView<2> X, TensorView<1> Scale, TensorView<1> Mean,
          TensorView<1> Rstd, TensorView<2> DY, TensorView<1> DScale, TensorView<1> DShift, TensorView<2> DX>
void layer_norm_backward(ExecutionSpace const& exec, X const& x, Scale const& scale, Mean const& mean, Rstd const& rstd,
                         DY const& d_y, DScale const& d_scale, DShift const& d_shift, DX const& d_x) {
  using T = typename DX::value_type;
  using Worker = Team<ExecutionSpace>;
  std::size_t const N = x.extent(0);
  std::size_t const D = x.extent(1);
  require_shape("layer_norm_backward", "scale", scale, {D});
  require_shape("layer_norm_backward", "mean", mean, {N});
  require_shape("layer_norm_backward", "rstd", rstd, {N});
  require_shape("layer_norm_backward", "d_scale", d_scale, {D});
  require_shape("layer_norm_backward", "d_shift", d_shift, {D});
  require_shape("layer_norm_backward", "d_y", d_y, {N, D});
  require_shape("layer_norm_backward", "d_x", d_x, {N, D});
  constexpr std::size_t strip = runs_on_host<ExecutionSpace> ? 64 : 1;
  constexpr std::size_t rows_of_block = 256;
  Kokkos::parallel_for(
      "dchag::ops::layer_norm_backward_parameters",
      Kokkos::RangePolicy<ExecutionSpace, Kokkos::IndexType<std::size_t>>(exec, 0, (D + strip - 1) / strip),
      KOKKOS_LAMBDA(std::size_t task) {
        std::size_t const begin = task * strip;
        std::size_t const count = D - begin < strip ? D - begin : strip;
        T scale_total[strip] = {};
        T shift_total[strip] = {};
        for (std::size_t first = 0; first < N; first += rows_of_block) {
          std::size_t const last = N - first < rows_of_block ? N : first + rows_of_block;
          T scale_partial[strip] = {};
          T shift_partial[strip] = {};
          for (std::size_t n = first; n < last; ++n) {
            for (std::size_t j = 0; j < count; ++j) {
              T const gradient = d_y(n, begin + j);
              scale_partial[j] += gradient * (x(n, begin + j) - mean(n)) * rstd(n);
              shift_partial[j] += gradient;
            }
          }
          for (std::size_t j = 0; j < count; ++j) {
            scale_total[j] += scale_partial[j];
            shift_total[j] += shift_partial[j];
          }
        }
        for (std::size_t j = 0; j < count; ++j) {
          d_scale(begin + j) += scale_total[j];
          d_shift(begin + j) += shift_total[j];
        }
      });
  for_each_team(
      exec, "dchag::ops::layer_norm_backward", N, KOKKOS_LAMBDA(Worker const& team, std::size_t n) {
        T const average = mean(n);
        T const scaling = rstd(n);
        T const g_mean =
            team.template sum<T>(D, [&](std::size_t j) { return scale(j) * d_y(n, j); }) / static_cast<T>(D);
        T const gz_mean = team.template sum<T>(D, [&](std::size_t j) {
          return scale(j) * d_y(n, j) * (x(n, j) - average) * scaling;
        }) / static_cast<T>(D);
        team.for_each(D, [&](std::size_t j) {
          d_x(n, j) = scaling * (scale(j) * d_y(n, j) - g_mean - (x(n, j) - average) * scaling * gz_mean);
        });
      });
}

#define DCHAG_KERNELS_OF(ExecutionSpace, T)                                                                            \
  DCHAG_KERNEL void layer_norm_forward(ExecutionSpace const&, Tensor<ExecutionSpace, T, 2> const&,                     \
                                       Tensor<ExecutionSpace, T, 1> const&, Tensor<ExecutionSpace, T, 1> const&, T,    \
                                       Tensor<ExecutionSpace, T, 2> const&, Tensor<ExecutionSpace, T, 1> const&,       \
                                       Tensor<ExecutionSpace, T, 1> const&);                                           \
  DCHAG_KERNEL void layer_norm_backward(                                                                               \
      ExecutionSpace const&, Tensor<ExecutionSpace, T, 2> const&, Tensor<ExecutionSpace, T, 1> const&,                 \
      Tensor<ExecutionSpace, T, 1> const&, Tensor<ExecutionSpace, T, 1> const&, Tensor<ExecutionSpace, T, 2> const&,   \
      Tensor<ExecutionSpace, T, 1> const&, Tensor<ExecutionSpace, T, 1> const&, Tensor<ExecutionSpace, T, 2> const&);
DCHAG_COMPILED(DCHAG_KERNELS_OF)
#undef DCHAG_KERNELS_OF

} // namespace dchag::ops
