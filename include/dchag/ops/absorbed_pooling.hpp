// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/check.hpp>
#include <dchag/core/compiled.hpp>
#include <dchag/core/workspace.hpp>
#include <dchag/ops/detail/pooling_kernels.hpp>
#include <dchag/ops/detail/pooling_products.hpp>
#include <dchag/ops/fused_pooling.hpp>

namespace dchag::ops {

namespace detail {
/// Positions whose scratch fits the budget: weights and logits' gradients (2 M h numbers), m and its gradient (2 h D).
template <class ExecutionSpace>
std::size_t absorbed_tile(std::size_t tokens, std::size_t heads, std::size_t width) {
  std::size_t const fitting = pooling_budget<ExecutionSpace> / (2 * heads * (tokens + width));
  return std::max<std::size_t>(16, fitting / 16 * 16);
}

/// The logits of a tile x (M, t, D): (M, t, h).
template <KokkosExecutionSpace ExecutionSpace, class Frame, TensorView<3> X, TensorView<2> Query>
auto absorbed_logits(ExecutionSpace const& exec, Frame& frame, X const& x, Query const& query) {
  using T = typename Query::value_type;
  auto const z = frame.template take<T, 3>({x.extent(0), x.extent(1), query.extent(0)});
  gemm(exec, Op::none, Op::transpose, T(1), x, query, T(0), z);
  return z;
}

template <TensorView<3> X, class Query, class Value, class P>
void require_absorbed_shapes(char const* where, X const& tokens, Query const& query, Value const& value,
                             P const& pooled) {
  auto const N = tokens.extent(1);
  auto const D = tokens.extent(2);
  auto const heads = query.extent(0);
  auto const V = value.extent(0);
  require(heads > 0 && V % heads == 0, where, ": V = ", V,
          " features of the output are not a multiple of heads = ", heads);
  require(tokens.extent(0) > 0, where, ": there are no tokens to attend to");
  require_shape(where, "query", query, {heads, D});
  require_shape(where, "value", value, {V, D});
  require_shape(where, "o", pooled.o, {N, V});
  require_shape(where, "maximum", pooled.maximum, {N, heads});
  require_shape(where, "sum", pooled.sum, {N, heads});
}
} // namespace detail

/// Pools tokens that are stored, with keys and values absorbed:
///
///     a[n, h, c] = softmax over c of r[h] . x[c, n]        o[n, h] = W_v[h] (sum over c of a[n, h, c] x[c, n])
///
/// Shapes: tokens x (M, N, D), of any strides but with contiguous columns; query r (h, D); value W_v (V, D); pooled as
/// in `Pooled`. Scratch is bounded whatever N is. Throws: ShapeError.
/// Source: mathematics of the fused form, for the upper levels of a tree: 4 M h D + 2 D V operations a position in
/// place of 4 M D V + 4 M V.
template <KokkosExecutionSpace ExecutionSpace, Scalar T, TensorView<3> X>
void absorbed_pooling_forward(Workspace<ExecutionSpace>& workspace, X const& tokens,
                              Tensor<ExecutionSpace, T, 2> const& query, Tensor<ExecutionSpace, T, 2> const& value,
                              Pooled<ExecutionSpace, T> const& pooled) {
  detail::require_absorbed_shapes("absorbed_pooling_forward", tokens, query, value, pooled);
  auto const& exec = workspace.exec();
  std::size_t const D = tokens.extent(2);
  std::size_t const heads = query.extent(0);
  std::size_t const tile = detail::absorbed_tile<ExecutionSpace>(tokens.extent(0), heads, D);
  detail::for_each_part(tokens.extent(1), tile, [&](std::size_t begin, std::size_t end) {
    auto frame = workspace.frame();
    auto const x = detail::middle(tokens, begin, end);                 // (M, t, D)
    auto const a = detail::absorbed_logits(exec, frame, x, query);     // (M, t, h)
    auto const m = frame.template take<T, 3>({end - begin, heads, D}); // (t, h, D)
    auto const maximum = detail::rows_of(pooled.maximum, begin, end);
    auto const sum = detail::rows_of(pooled.sum, begin, end);
    detail::softmax_statistics(exec, detail::by_tokens(a), true, maximum, sum);
    detail::softmax_weights(exec, detail::by_tokens(a), maximum, sum, detail::by_tokens(a));
    detail::add_weighted_tokens(exec, a, x, true, m);
    detail::value_forward(exec, m, value, detail::rows_of(pooled.o, begin, end));
  });
}

/// The most bytes of a workspace that the passes of such a pooling hold at a time: N positions of M tokens, width D.
template <KokkosExecutionSpace ExecutionSpace, Scalar T>
PassBytes absorbed_pooling_workspace(std::size_t positions, std::size_t tokens, std::size_t width, std::size_t heads) {
  std::size_t const tile = (std::min)(positions, detail::absorbed_tile<ExecutionSpace>(tokens, heads, width));
  std::size_t const weights = scratch_bytes(tokens * tile * heads * sizeof(T));
  std::size_t const sums = scratch_bytes(tile * heads * width * sizeof(T));
  return {weights + sums, 2 * weights + 2 * sums};
}

/// Gradients of query and value, and of the tokens [first, last), from d_o.
///
/// Shapes: d_o (N, V); delta (N, h): the sum over a head's features of d_o * o; d_query (h, D) is overwritten, d_value
/// (V, D) added to; d_tokens (last - first, N, D), of any strides but with contiguous columns, or `no_gradient`.
/// maximum and sum may be those of more tokens than these. Throws: ShapeError.
template <KokkosExecutionSpace ExecutionSpace, Scalar T, TensorView<3> X, GradientView<3> DX>
void absorbed_pooling_backward(Workspace<ExecutionSpace>& workspace, X const& tokens,
                               Tensor<ExecutionSpace, T, 2> const& query, Tensor<ExecutionSpace, T, 2> const& value,
                               Pooled<ExecutionSpace, T> const& pooled, Tensor<ExecutionSpace, T, 2> const& d_o,
                               Tensor<ExecutionSpace, T, 2> const& delta, Tensor<ExecutionSpace, T, 2> const& d_query,
                               Tensor<ExecutionSpace, T, 2> const& d_value, std::size_t first, std::size_t last,
                               DX const& d_tokens) {
  auto const M = tokens.extent(0);
  auto const D = tokens.extent(2);
  auto const heads = query.extent(0);
  detail::require_absorbed_shapes("absorbed_pooling_backward", tokens, query, value, pooled);
  require_shape("absorbed_pooling_backward", "d_o", d_o, extents_of(pooled.o));
  require_shape("absorbed_pooling_backward", "delta", delta, extents_of(pooled.sum));
  require_shape("absorbed_pooling_backward", "d_query", d_query, extents_of(query));
  require_shape("absorbed_pooling_backward", "d_value", d_value, extents_of(value));
  require(first <= last && last <= M, "absorbed_pooling_backward: tokens [", first, ", ", last, ") of M = ", M);
  if constexpr (is_wanted<DX>)
    require_shape("absorbed_pooling_backward", "d_tokens", d_tokens, {last - first, tokens.extent(1), D});

  auto const& exec = workspace.exec();
  detail::clear_rows(exec, d_query);
  std::size_t const tile = detail::absorbed_tile<ExecutionSpace>(M, heads, D);
  detail::for_each_part(tokens.extent(1), tile, [&](std::size_t begin, std::size_t end) {
    auto frame = workspace.frame();
    std::size_t const t = end - begin;
    auto const x = detail::middle(tokens, begin, end);             // (M, t, D)
    auto const a = detail::absorbed_logits(exec, frame, x, query); // (M, t, h)
    auto const d_z = frame.template take<T, 3>({M, t, heads});     // (M, t, h)
    auto const m = frame.template take<T, 3>({t, heads, D});       // (t, h, D)
    auto const d_m = frame.template take<T, 3>({t, heads, D});     // (t, h, D)
    auto const d_o_tile = detail::rows_of(d_o, begin, end);
    detail::softmax_weights(exec, detail::by_tokens(a), detail::rows_of(pooled.maximum, begin, end),
                            detail::rows_of(pooled.sum, begin, end), detail::by_tokens(a));
    detail::add_weighted_tokens(exec, a, x, true, m);
    detail::add_value_gradient(exec, d_o_tile, m, d_value);
    detail::value_backward(exec, d_o_tile, value, d_m);
    detail::token_products(exec, x, d_m, d_z);
    detail::logit_gradient(exec, detail::by_tokens(a), detail::by_tokens(d_z), detail::rows_of(delta, begin, end),
                           detail::by_tokens(d_z));
    for (std::size_t c = 0; c < M; ++c)
      gemm(exec, Op::transpose, Op::none, T(1), slice(d_z, c), Kokkos::subview(x, c, Kokkos::ALL, Kokkos::ALL), T(1),
           d_query);
    if constexpr (is_wanted<DX>) {
      auto const d_x = detail::middle(d_tokens, begin, end);
      detail::spread_to_tokens(exec, slices(a, first, last), d_m, d_x);
      gemm(exec, Op::none, Op::none, T(1), slices(d_z, first, last), query, T(1), d_x);
    }
  });
}

#define DCHAG_KERNELS_OF(ExecutionSpace, T)                                                                            \
  DCHAG_KERNEL void absorbed_pooling_forward(Workspace<ExecutionSpace>&, Tensor<ExecutionSpace, T, 3> const&,          \
                                             Tensor<ExecutionSpace, T, 2> const&, Tensor<ExecutionSpace, T, 2> const&, \
                                             Pooled<ExecutionSpace, T> const&);                                        \
  DCHAG_KERNEL void absorbed_pooling_backward(                                                                         \
      Workspace<ExecutionSpace>&, Tensor<ExecutionSpace, T, 3> const&, Tensor<ExecutionSpace, T, 2> const&,            \
      Tensor<ExecutionSpace, T, 2> const&, Pooled<ExecutionSpace, T> const&, Tensor<ExecutionSpace, T, 2> const&,      \
      Tensor<ExecutionSpace, T, 2> const&, Tensor<ExecutionSpace, T, 2> const&, Tensor<ExecutionSpace, T, 2> const&,   \
      std::size_t, std::size_t, Tensor<ExecutionSpace, T, 3> const&);
DCHAG_COMPILED(DCHAG_KERNELS_OF)
#undef DCHAG_KERNELS_OF

} // namespace dchag::ops
