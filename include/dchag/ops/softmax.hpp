// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/check.hpp>
#include <dchag/core/parallel.hpp>

namespace dchag::ops {

/// y = exp(x) / sum of exp(x) over the last axis, with the maximum taken out first.
///
/// Shapes: x, y (N, M), M > 0. y may be x.
template <KokkosExecutionSpace ExecutionSpace, TensorView<2> X, TensorView<2> Y>
void softmax_forward(ExecutionSpace const& exec, X const& x, Y const& y) {
  using T = typename Y::value_type;
  using Worker = Team<ExecutionSpace>;
  std::size_t const M = x.extent(1);
  require_shape("softmax_forward", "y", y, extents_of(x));
  require(M > 0, "softmax_forward: x is ", shape_text(extents_of(x)), ", expected at least one column");
  for_each_team(
      exec, "dchag::ops::softmax_forward", x.extent(0), KOKKOS_LAMBDA(Worker const& team, std::size_t n) {
        T const largest = team.template max<T>(M, [&](std::size_t j) { return x(n, j); });
        team.for_each(M, [&](std::size_t j) { y(n, j) = math::exp(x(n, j) - largest); });
        team.barrier();
        T const scaling = T(1) / team.template sum<T>(M, [&](std::size_t j) { return y(n, j); });
        team.for_each(M, [&](std::size_t j) { y(n, j) *= scaling; });
      });
}

/// d_x = y (d_y - sum over the last axis of y d_y).
///
/// Shapes: as forward. d_x may be d_y.
template <KokkosExecutionSpace ExecutionSpace, TensorView<2> Y, TensorView<2> DY, TensorView<2> DX>
void softmax_backward(ExecutionSpace const& exec, Y const& y, DY const& d_y, DX const& d_x) {
  using T = typename DX::value_type;
  using Worker = Team<ExecutionSpace>;
  std::size_t const M = y.extent(1);
  require_shape("softmax_backward", "d_y", d_y, extents_of(y));
  require_shape("softmax_backward", "d_x", d_x, extents_of(y));
  for_each_team(
      exec, "dchag::ops::softmax_backward", y.extent(0), KOKKOS_LAMBDA(Worker const& team, std::size_t n) {
        T const projection = team.template sum<T>(M, [&](std::size_t j) { return y(n, j) * d_y(n, j); });
        team.for_each(M, [&](std::size_t j) { d_x(n, j) = y(n, j) * (d_y(n, j) - projection); });
      });
}

} // namespace dchag::ops
