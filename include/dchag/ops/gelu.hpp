// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/check.hpp>
#include <dchag/core/compiled.hpp>
#include <dchag/core/parallel.hpp>

namespace dchag::ops {

/// y = x Phi(x), Phi the normal distribution function (the exact form, by erf).
///
/// Shapes: x, y (N, M). y may be x.
/// Source: Hendrycks and Gimpel 2016.
template <KokkosExecutionSpace ExecutionSpace, TensorView<2> X, TensorView<2> Y>
void gelu_forward(ExecutionSpace const& exec, X const& x, Y const& y) {
  using T = typename Y::value_type;
  require_shape("gelu_forward", "y", y, extents_of(x));
  for_each_element(
      exec, "dchag::ops::gelu_forward", x.extent(0), x.extent(1), KOKKOS_LAMBDA(std::size_t n, std::size_t j) {
        constexpr T half = T(0.5);
        constexpr T inverse_sqrt_2 = T(0.70710678118654752440);
        T const z = x(n, j);
        y(n, j) = half * z * (T(1) + math::erf(z * inverse_sqrt_2));
      });
}

/// d_x = d_y (Phi(x) + x phi(x)), phi the normal density.
///
/// Shapes: as forward. d_x may be d_y or x.
template <KokkosExecutionSpace ExecutionSpace, TensorView<2> X, TensorView<2> DY, TensorView<2> DX>
void gelu_backward(ExecutionSpace const& exec, X const& x, DY const& d_y, DX const& d_x) {
  using T = typename DX::value_type;
  require_shape("gelu_backward", "d_y", d_y, extents_of(x));
  require_shape("gelu_backward", "d_x", d_x, extents_of(x));
  for_each_element(
      exec, "dchag::ops::gelu_backward", x.extent(0), x.extent(1), KOKKOS_LAMBDA(std::size_t n, std::size_t j) {
        constexpr T half = T(0.5);
        constexpr T inverse_sqrt_2 = T(0.70710678118654752440);
        constexpr T inverse_sqrt_2_pi = T(0.39894228040143267794);
        T const z = x(n, j);
        T const distribution = half * (T(1) + math::erf(z * inverse_sqrt_2));
        T const density = inverse_sqrt_2_pi * math::exp(-half * z * z);
        d_x(n, j) = d_y(n, j) * (distribution + z * density);
      });
}

#define DCHAG_KERNELS_OF(ExecutionSpace, T)                                                                            \
  DCHAG_KERNEL void gelu_forward(ExecutionSpace const&, Tensor<ExecutionSpace, T, 2> const&,                           \
                                 Tensor<ExecutionSpace, T, 2> const&);                                                 \
  DCHAG_KERNEL void gelu_backward(ExecutionSpace const&, Tensor<ExecutionSpace, T, 2> const&,                          \
                                  Tensor<ExecutionSpace, T, 2> const&, Tensor<ExecutionSpace, T, 2> const&);
DCHAG_COMPILED(DCHAG_KERNELS_OF)
#undef DCHAG_KERNELS_OF

} // namespace dchag::ops
