// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/check.hpp>
#include <dchag/ops/detail/gemm_device.hpp>
#include <dchag/ops/detail/gemm_host.hpp>

namespace dchag::ops {

namespace detail {
template <class View>
auto matrices(View const& view) {
  using T = typename View::value_type;
  if constexpr (View::rank == 2)
    return Matrices<T>{view.data(), view.stride(0), 0};
  else
    return Matrices<T>{view.data(), view.stride(1), view.stride(0)};
}

template <class View>
concept MatrixView = TensorView<View, 2> || TensorView<View, 3>;

template <class View>
void require_unit_columns(char const* name, View const& view) {
  require(view.extent(View::rank - 1) <= 1 || view.stride(View::rank - 1) == 1, "gemm: ", name, " has stride ",
          view.stride(View::rank - 1), " along its columns, expected 1");
}
} // namespace detail

/// C = alpha op(A) op(B) + beta C, for one matrix or a batch.
///
/// Shapes: C (m, n) or (batch, m, n); op(A) (m, k), op(B) (k, n), each with or without the batch axis: a factor of rank
/// 2 serves the whole batch. Any strides, but columns are contiguous. With beta = 0, C is not read. Types: all of T; or
/// A and B of bfloat16 and C of float or bfloat16, summed in float, which devices do many times faster. Throws:
/// ShapeError.
template <KokkosExecutionSpace ExecutionSpace, Scalar T, detail::MatrixView A, detail::MatrixView B,
          detail::MatrixView C>
void gemm(ExecutionSpace const& exec, Op op_a, Op op_b, T alpha, A const& a, B const& b, T beta, C const& c) {
  using In = typename A::non_const_value_type;
  using Out = typename C::value_type;
  constexpr bool halves = std::is_same_v<In, bfloat16> && std::is_same_v<T, float>;
  static_assert(std::is_same_v<Out, T> || (halves && std::is_same_v<Out, bfloat16>),
                "gemm: C has the scalar type of alpha and beta");
  static_assert(std::is_same_v<In, T> || halves, "gemm: A has the scalar type of C");
  static_assert(std::is_same_v<typename B::non_const_value_type, In>, "gemm: B has the scalar type of C, or of A");
  constexpr std::size_t rank_of_c = C::rank; // an enumerator of the View's own in Kokkos 3.4, not to be compared
  static_assert(A::rank <= rank_of_c && B::rank <= rank_of_c, "gemm: a batch of factors needs a batch of results");
  auto const [a_rows, a_columns] = std::pair(a.extent(A::rank - 2), a.extent(A::rank - 1));
  auto const [b_rows, b_columns] = std::pair(b.extent(B::rank - 2), b.extent(B::rank - 1));
  std::size_t const m = op_a == Op::none ? a_rows : a_columns;
  std::size_t const k = op_a == Op::none ? a_columns : a_rows;
  std::size_t const n = op_b == Op::none ? b_columns : b_rows;
  std::size_t const k_b = op_b == Op::none ? b_rows : b_columns;
  std::size_t const batch = C::rank == 3 ? c.extent(0) : 1;
  bool const fits = k == k_b && c.extent(C::rank - 2) == m && c.extent(C::rank - 1) == n &&
                    (A::rank == 2 || a.extent(0) == batch) && (B::rank == 2 || b.extent(0) == batch);
  if (!fits)
    throw ShapeError(concat("gemm: A", op_a == Op::none ? " " : "^T ", shape_text(extents_of(a)), " times B",
                            op_b == Op::none ? " " : "^T ", shape_text(extents_of(b)), " does not give C ",
                            shape_text(extents_of(c))));
  detail::require_unit_columns("A", a);
  detail::require_unit_columns("B", b);
  detail::require_unit_columns("C", c);
  if (batch == 0 || m == 0 || n == 0) return;

  auto const constant = [](auto const& x) { return detail::Matrices<In const>{x.data, x.row_stride, x.matrix_stride}; };
  detail::Product<T, In, Out> const product{op_a,
                                            op_b,
                                            batch,
                                            m,
                                            n,
                                            k,
                                            alpha,
                                            beta,
                                            constant(detail::matrices(a)),
                                            constant(detail::matrices(b)),
                                            detail::matrices(c)};
  if constexpr (runs_on_host<ExecutionSpace> && halves)
    detail::gemm_kernel(exec, product); // no host library takes them: right, not fast
  else if constexpr (runs_on_host<ExecutionSpace>)
    detail::gemm_host(exec, product);
  else
    detail::gemm_device(exec, product);
}

} // namespace dchag::ops
