// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/check.hpp>
#include <dchag/core/compiled.hpp>
#include <dchag/core/parallel.hpp>
#include <dchag/core/random.hpp>

namespace dchag::ops {

/// Which numbers of a matrix are dropped: number j of row n is kept if random bits of (key, step, first_row + n, j) say
/// so. So the choice is the same for every execution space and for ranks that have some of the rows.
struct DropoutMask {
  std::uint64_t key;
  std::uint32_t step;
  std::size_t first_row;
  double rate; ///< of what is dropped, in [0, 1)
};

namespace detail {
/// Features whose choices come from one draw of bits.
inline constexpr std::size_t dropout_group = 4;

/// factor[k] is 0 or 1 / (1 - rate) for features 4 group + k.
template <class T>
KOKKOS_INLINE_FUNCTION void dropout_factors(DropoutMask const& mask, std::size_t row, std::size_t group,
                                            T (&factor)[dropout_group]) {
  std::uint64_t const index = mask.first_row + row;
  std::uint32_t bits[dropout_group] = {static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32),
                                       static_cast<std::uint32_t>(group), mask.step};
  philox4x32(bits, static_cast<std::uint32_t>(mask.key), static_cast<std::uint32_t>(mask.key >> 32));
  for (std::size_t k = 0; k < dropout_group; ++k)
    factor[k] = static_cast<double>(bits[k]) < mask.rate * 4294967296.0 ? T(0) : static_cast<T>(1 / (1 - mask.rate));
}
/// Calls f(n, j, factor) for every number of an N x D matrix.
template <class T, class ExecutionSpace, class F>
void for_each_dropped(ExecutionSpace const& exec, char const* label, DropoutMask const& mask, std::size_t N,
                      std::size_t D, F const& f) {
  for_each_element(
      exec, label, N, (D + dropout_group - 1) / dropout_group, KOKKOS_LAMBDA(std::size_t n, std::size_t group) {
        T factor[dropout_group];
        dropout_factors(mask, n, group, factor);
        for (std::size_t k = 0; k < dropout_group && group * dropout_group + k < D; ++k)
          f(n, group * dropout_group + k, factor[k]);
      });
}
} // namespace detail

/// y = x + dropout(branch); y may be x or branch.
///
/// Shapes: x, branch, y (N, D).
/// Source: Srivastava et al. 2014, scaled in training so that nothing is to be done in inference.
template <KokkosExecutionSpace ExecutionSpace, TensorView<2> X, TensorView<2> Branch, TensorView<2> Y>
void add_dropped(ExecutionSpace const& exec, DropoutMask const& mask, X const& x, Branch const& branch, Y const& y) {
  using T = typename Y::value_type;
  require_shape("add_dropped", "branch", branch, extents_of(x));
  require_shape("add_dropped", "y", y, extents_of(x));
  detail::for_each_dropped<T>(
      exec, "dchag::ops::add_dropped", mask, x.extent(0), x.extent(1),
      KOKKOS_LAMBDA(std::size_t n, std::size_t j, T factor) { y(n, j) = x(n, j) + factor * branch(n, j); });
}

/// d_branch = dropout(d_y); it may be d_y.
///
/// Shapes: d_y, d_branch (N, D).
template <KokkosExecutionSpace ExecutionSpace, TensorView<2> DY, TensorView<2> DBranch>
void add_dropped_backward(ExecutionSpace const& exec, DropoutMask const& mask, DY const& d_y, DBranch const& d_branch) {
  using T = typename DBranch::value_type;
  require_shape("add_dropped_backward", "d_branch", d_branch, extents_of(d_y));
  detail::for_each_dropped<T>(
      exec, "dchag::ops::add_dropped_backward", mask, d_y.extent(0), d_y.extent(1),
      KOKKOS_LAMBDA(std::size_t n, std::size_t j, T factor) { d_branch(n, j) = factor * d_y(n, j); });
}

#define DCHAG_KERNELS_OF(ExecutionSpace, T)                                                                            \
  DCHAG_KERNEL void add_dropped(ExecutionSpace const&, DropoutMask const&, Tensor<ExecutionSpace, T, 2> const&,        \
                                Tensor<ExecutionSpace, T, 2> const&, Tensor<ExecutionSpace, T, 2> const&);             \
  DCHAG_KERNEL void add_dropped_backward(ExecutionSpace const&, DropoutMask const&,                                    \
                                         Tensor<ExecutionSpace, T, 2> const&, Tensor<ExecutionSpace, T, 2> const&);
DCHAG_COMPILED(DCHAG_KERNELS_OF)
#undef DCHAG_KERNELS_OF

} // namespace dchag::ops
