// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/check.hpp>
#include <dchag/core/compiled.hpp>
#include <dchag/core/parallel.hpp>
#include <dchag/ops/detail/gemm_host.hpp>

namespace dchag::ops {

namespace detail {

/// A product small enough for one team: c (m, n) = alpha op(a) op(b) + beta c.
#if defined(__NVCC__)
#pragma nv_exec_check_disable // the host's library is called on the host only, as the condition says
#endif
template <class T, class ExecutionSpace>
KOKKOS_INLINE_FUNCTION void team_gemm(Team<ExecutionSpace> const& team, Op op_a, Op op_b, std::size_t m, std::size_t n,
                                      std::size_t k, T alpha, T const* a, std::size_t lda, T const* b, std::size_t ldb,
                                      T beta, T* c, std::size_t ldc) {
  if constexpr (runs_on_host<ExecutionSpace>) {
    serial_gemm(op_a, op_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
  } else {
    team.for_each(m * n, [&](std::size_t element) {
      std::size_t const row = element / n;
      std::size_t const column = element % n;
      T sum = 0;
      for (std::size_t i = 0; i < k; ++i)
        sum += (op_a == Op::none ? a[row * lda + i] : a[i * lda + row]) *
               (op_b == Op::none ? b[i * ldb + column] : b[column * ldb + i]);
      T& out = c[row * ldc + column];
      out = alpha * sum + (math::equal(beta, T(0)) ? T(0) : beta * out);
    });
    team.barrier();
  }
}

/// Tiles of the (L, L) scores that one team holds at a time: queries x keys.
inline constexpr std::size_t query_tile = 32;
inline constexpr std::size_t key_tile = 64;

} // namespace detail

/// out = softmax(q k^T / sqrt(d)) v for each sample and head; the (L, L) scores are never stored.
///
/// Steps: for a tile of queries, run over tiles of keys with the running maximum and sum of the softmax.
/// Shapes: q, k, v, out (B, L, D), any strides but contiguous columns, D = heads * d; log_sums (B, heads, L) gets the
/// logarithm of each softmax' denominator for the backward pass.
/// Source: FlashAttention (Dao et al. 2022).
template <KokkosExecutionSpace ExecutionSpace, TensorView<3> Q, TensorView<3> K, TensorView<3> V, TensorView<3> Out,
          TensorView<3> LogSums>
void attention_forward(ExecutionSpace const& exec, std::size_t heads, Q const& q, K const& k, V const& v,
                       Out const& out, LogSums const& log_sums) {
  using T = typename Out::value_type;
  using Worker = Team<ExecutionSpace>;
  constexpr std::size_t tq = detail::query_tile;
  constexpr std::size_t tk = detail::key_tile;
  auto const extents = extents_of(out);
  auto const [B, L, D] = extents;
  require(heads > 0 && D % heads == 0, "attention_forward: width D = ", D, " is not a multiple of heads = ", heads);
  require_shape("attention_forward", "q", q, extents);
  require_shape("attention_forward", "k", k, extents);
  require_shape("attention_forward", "v", v, extents);
  require_shape("attention_forward", "log_sums", log_sums, {B, heads, L});
  std::size_t const d = D / heads;
  std::size_t const length = L;
  std::size_t const tiles = (L + tq - 1) / tq;
  T const scale = T(1) / math::sqrt(static_cast<T>(d));
  for_each_team_with_scratch<T, tq*(tk + 2)>(
      exec, "dchag::ops::attention_forward", B * heads * tiles,
      KOKKOS_LAMBDA(Worker const& team, std::size_t task, T* scratch) {
        std::size_t const b = task / (heads * tiles);
        std::size_t const head = task / tiles % heads;
        std::size_t const first_query = task % tiles * tq;
        std::size_t const queries = (math::min)(tq, length - first_query);
        T* scores = scratch;            // (queries, tk)
        T* largest = scratch + tq * tk; // (queries)
        T* sums = largest + tq;         // (queries)
        T* result = &out(b, first_query, head * d);
        std::size_t const result_stride = out.stride(1);
        for (std::size_t first_key = 0; first_key < length; first_key += tk) {
          std::size_t const keys = (math::min)(tk, length - first_key);
          detail::team_gemm<T>(team, Op::none, Op::transpose, queries, keys, d, scale, &q(b, first_query, head * d),
                               q.stride(1), &k(b, first_key, head * d), k.stride(1), T(0), scores, tk);
          for (std::size_t i = 0; i < queries; ++i) {
            T* row = scores + i * tk;
            T const before = first_key == 0 ? row[0] : largest[i];
            T const peak = (math::max)(before, team.template max<T>(keys, [&](std::size_t j) { return row[j]; }));
            team.for_each(keys, [&](std::size_t j) { row[j] = math::exp(row[j] - peak); });
            team.barrier();
            T const added = team.template sum<T>(keys, [&](std::size_t j) { return row[j]; });
            T const shrink = first_key == 0 ? T(0) : math::exp(before - peak);
            team.for_each(d, [&](std::size_t j) {
              T& value = result[i * result_stride + j];
              value = first_key == 0 ? T(0) : value * shrink;
            });
            team.barrier();
            team.once([&] {
              sums[i] = first_key == 0 ? added : sums[i] * shrink + added;
              largest[i] = peak;
            });
          }
          team.barrier();
          detail::team_gemm<T>(team, Op::none, Op::none, queries, d, keys, T(1), scores, tk, &v(b, first_key, head * d),
                               v.stride(1), T(1), result, result_stride);
        }
        for (std::size_t i = 0; i < queries; ++i) {
          T const scaling = T(1) / sums[i];
          team.for_each(d, [&](std::size_t j) { result[i * result_stride + j] *= scaling; });
          team.once([&] { log_sums(b, head, first_query + i) = largest[i] + math::log(sums[i]); });
        }
      });
}

/// Gradients of q, k and v from d_out; the scores are made again tile by tile.
///
/// Shapes: as forward; d_q, d_k, d_v like q, k, v; `delta` (B, heads, L) is scratch.
/// Source: FlashAttention-2 (Dao 2023): delta = sum over d of d_out * out replaces the sums over keys.
template <KokkosExecutionSpace ExecutionSpace, TensorView<3> Q, TensorView<3> K, TensorView<3> V, TensorView<3> Out,
          TensorView<3> LogSums, TensorView<3> DOut, TensorView<3> Delta, TensorView<3> DQ, TensorView<3> DK,
          TensorView<3> DV>
void attention_backward(ExecutionSpace const& exec, std::size_t heads, Q const& q, K const& k, V const& v,
                        Out const& out, LogSums const& log_sums, DOut const& d_out, Delta const& delta, DQ const& d_q,
                        DK const& d_k, DV const& d_v) {
  using T = typename Out::value_type;
  using Worker = Team<ExecutionSpace>;
  constexpr std::size_t tq = detail::query_tile;
  constexpr std::size_t tk = detail::key_tile;
  auto const extents = extents_of(out);
  auto const [B, L, D] = extents;
  require(heads > 0 && D % heads == 0, "attention_backward: width D = ", D, " is not a multiple of heads = ", heads);
  require_shape("attention_backward", "q", q, extents);
  require_shape("attention_backward", "k", k, extents);
  require_shape("attention_backward", "v", v, extents);
  require_shape("attention_backward", "log_sums", log_sums, {B, heads, L});
  require_shape("attention_backward", "d_out", d_out, extents);
  require_shape("attention_backward", "d_q", d_q, extents);
  require_shape("attention_backward", "d_k", d_k, extents);
  require_shape("attention_backward", "d_v", d_v, extents);
  require_shape("attention_backward", "delta", delta, {B, heads, L});
  std::size_t const d = D / heads;
  std::size_t const length = L;
  T const scale = T(1) / math::sqrt(static_cast<T>(d));
  for_each_team_with_scratch<T, 2 * tq * tk>(
      exec, "dchag::ops::attention_backward", B * heads,
      KOKKOS_LAMBDA(Worker const& team, std::size_t task, T* scratch) {
        std::size_t const b = task / heads;
        std::size_t const head = task % heads;
        std::size_t const column = head * d;
        T* p = scratch;            // (queries, tk) probabilities
        T* dz = scratch + tq * tk; // (queries, tk) their gradient, then the gradient of the scores
        for (std::size_t l = 0; l < length; ++l) {
          T const sum =
              team.template sum<T>(d, [&](std::size_t j) { return d_out(b, l, column + j) * out(b, l, column + j); });
          team.once([&] { delta(b, head, l) = sum; });
        }
        team.barrier();
        for (std::size_t first_key = 0; first_key < length; first_key += tk) {
          std::size_t const keys = (math::min)(tk, length - first_key);
          T const* key = &k(b, first_key, column);
          T const* value = &v(b, first_key, column);
          for (std::size_t first_query = 0; first_query < length; first_query += tq) {
            std::size_t const queries = (math::min)(tq, length - first_query);
            T const* query = &q(b, first_query, column);
            T const* gradient = &d_out(b, first_query, column);
            T const add_queries = first_query == 0 ? T(0) : T(1);
            T const add_keys = first_key == 0 ? T(0) : T(1);
            detail::team_gemm<T>(team, Op::none, Op::transpose, queries, keys, d, scale, query, q.stride(1), key,
                                 k.stride(1), T(0), p, tk);
            detail::team_gemm<T>(team, Op::none, Op::transpose, queries, keys, d, T(1), gradient, d_out.stride(1),
                                 value, v.stride(1), T(0), dz, tk);
            for (std::size_t i = 0; i < queries; ++i) {
              T const log_sum = log_sums(b, head, first_query + i);
              T const projection = delta(b, head, first_query + i);
              team.for_each(keys, [&](std::size_t j) {
                T const probability = math::exp(p[i * tk + j] - log_sum);
                p[i * tk + j] = probability;
                dz[i * tk + j] = scale * probability * (dz[i * tk + j] - projection);
              });
            }
            team.barrier();
            detail::team_gemm<T>(team, Op::transpose, Op::none, keys, d, queries, T(1), p, tk, gradient,
                                 d_out.stride(1), add_queries, &d_v(b, first_key, column), d_v.stride(1));
            detail::team_gemm<T>(team, Op::transpose, Op::none, keys, d, queries, T(1), dz, tk, query, q.stride(1),
                                 add_queries, &d_k(b, first_key, column), d_k.stride(1));
            detail::team_gemm<T>(team, Op::none, Op::none, queries, d, keys, T(1), dz, tk, key, k.stride(1), add_keys,
                                 &d_q(b, first_query, column), d_q.stride(1));
          }
        }
      });
}

namespace detail {
/// Some of the features of a tensor.
template <class ExecutionSpace, class T>
using HeadsOf = decltype(Kokkos::subview(std::declval<Tensor<ExecutionSpace, T, 3>>(), Kokkos::ALL, Kokkos::ALL,
                                         std::pair<std::size_t, std::size_t>()));
} // namespace detail
#define DCHAG_KERNELS_OF(ExecutionSpace, T)                                                                            \
  DCHAG_KERNEL void attention_forward(ExecutionSpace const&, std::size_t, detail::HeadsOf<ExecutionSpace, T> const&,   \
                                      detail::HeadsOf<ExecutionSpace, T> const&,                                       \
                                      detail::HeadsOf<ExecutionSpace, T> const&, Tensor<ExecutionSpace, T, 3> const&,  \
                                      Tensor<ExecutionSpace, T, 3> const&);                                            \
  DCHAG_KERNEL void attention_backward(                                                                                \
      ExecutionSpace const&, std::size_t, detail::HeadsOf<ExecutionSpace, T> const&,                                   \
      detail::HeadsOf<ExecutionSpace, T> const&, detail::HeadsOf<ExecutionSpace, T> const&,                            \
      Tensor<ExecutionSpace, T, 3> const&, Tensor<ExecutionSpace, T, 3> const&, Tensor<ExecutionSpace, T, 3> const&,   \
      Tensor<ExecutionSpace, T, 3> const&, detail::HeadsOf<ExecutionSpace, T> const&,                                  \
      detail::HeadsOf<ExecutionSpace, T> const&, detail::HeadsOf<ExecutionSpace, T> const&);
DCHAG_COMPILED(DCHAG_KERNELS_OF)
#undef DCHAG_KERNELS_OF

} // namespace dchag::ops
