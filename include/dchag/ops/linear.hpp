// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/compiled.hpp>
#include <dchag/core/parallel.hpp>
#include <dchag/ops/gemm.hpp>

namespace dchag::ops {

/// d_bias[j] += sum over n of d_y[n, j].
///
/// Shapes: d_y (N, M), d_bias (M).
template <KokkosExecutionSpace ExecutionSpace, TensorView<2> DY, TensorView<1> DBias>
void add_column_sums(ExecutionSpace const& exec, DY const& d_y, DBias const& d_bias) {
  using T = typename DBias::value_type;
  require_shape("add_column_sums", "d_bias", d_bias, {d_y.extent(1)});
  // A worker owns a strip of columns and runs down it in blocks of rows: sums of bounded length keep float exact
  // enough.
  constexpr std::size_t strip = runs_on_host<ExecutionSpace> ? 64 : 1;
  constexpr std::size_t rows_of_block = 256;
  std::size_t const N = d_y.extent(0);
  std::size_t const M = d_y.extent(1);
  Kokkos::parallel_for(
      "dchag::ops::add_column_sums",
      Kokkos::RangePolicy<ExecutionSpace, Kokkos::IndexType<std::size_t>>(exec, 0, (M + strip - 1) / strip),
      KOKKOS_LAMBDA(std::size_t task) {
        std::size_t const begin = task * strip;
        std::size_t const count = M - begin < strip ? M - begin : strip;
        T total[strip] = {};
        for (std::size_t first = 0; first < N; first += rows_of_block) {
          std::size_t const last = N - first < rows_of_block ? N : first + rows_of_block;
          T partial[strip] = {};
          for (std::size_t n = first; n < last; ++n)
            for (std::size_t j = 0; j < count; ++j) partial[j] += d_y(n, begin + j);
          for (std::size_t j = 0; j < count; ++j) total[j] += partial[j];
        }
        for (std::size_t j = 0; j < count; ++j) d_bias(begin + j) += total[j];
      });
}

/// y[n, :] += bias.
///
/// Shapes: bias (M), y (N, M).
template <KokkosExecutionSpace ExecutionSpace, TensorView<1> Bias, TensorView<2> Y>
void add_bias(ExecutionSpace const& exec, Bias const& bias, Y const& y) {
  require_shape("add_bias", "bias", bias, {y.extent(1)});
  for_each_element(
      exec, "dchag::ops::add_bias", y.extent(0), y.extent(1),
      KOKKOS_LAMBDA(std::size_t n, std::size_t j) { y(n, j) += bias(j); });
}

/// y = x W^T.
///
/// Shapes: x (N, K), weight (M, K), y (N, M).
template <KokkosExecutionSpace ExecutionSpace, TensorView<2> X, TensorView<2> W, TensorView<2> Y>
void linear_forward(ExecutionSpace const& exec, X const& x, W const& weight, Y const& y) {
  using T = typename Y::value_type;
  gemm(exec, Op::none, Op::transpose, T(1), x, weight, T(0), y);
}

/// d_weight += d_y^T x and, if wanted, d_x = d_y W.
///
/// Shapes: as forward.
template <KokkosExecutionSpace ExecutionSpace, TensorView<2> X, TensorView<2> W, TensorView<2> DY, TensorView<2> DW,
          GradientView<2> DX>
void linear_backward(ExecutionSpace const& exec, X const& x, W const& weight, DY const& d_y, DW const& d_weight,
                     DX const& d_x) {
  using T = typename DW::value_type;
  gemm(exec, Op::transpose, Op::none, T(1), d_y, x, T(1), d_weight);
  if constexpr (is_wanted<DX>) gemm(exec, Op::none, Op::none, T(1), d_y, weight, T(0), d_x);
}

#define DCHAG_KERNELS_OF(ExecutionSpace, T)                                                                            \
  DCHAG_KERNEL void add_column_sums(ExecutionSpace const&, Tensor<ExecutionSpace, T, 2> const&,                        \
                                    Tensor<ExecutionSpace, T, 1> const&);                                              \
  DCHAG_KERNEL void add_bias(ExecutionSpace const&, Tensor<ExecutionSpace, T, 1> const&,                               \
                             Tensor<ExecutionSpace, T, 2> const&);
DCHAG_COMPILED(DCHAG_KERNELS_OF)
#undef DCHAG_KERNELS_OF

} // namespace dchag::ops
