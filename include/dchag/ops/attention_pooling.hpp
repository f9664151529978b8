// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/check.hpp>
#include <dchag/core/compiled.hpp>
#include <dchag/core/parallel.hpp>

namespace dchag::ops {

namespace detail {
/// Positions that one team takes together: on the host the rows of one token are then read as one stream.
template <class ExecutionSpace>
inline constexpr std::size_t pooling_block = runs_on_host<ExecutionSpace> ? 16 : 1;
} // namespace detail

/// Where `attention_pooling_forward` notes the maximum of each head's logits and the sum of exp(logit - maximum), (N,
/// h) each, for those who merge them with others'.
template <TensorView<2> View>
struct SoftmaxStatistics {
  View maximum, sum;

  void require_shapes(char const* where, std::size_t N, std::size_t heads) const {
    require_shape(where, "maximum", maximum, {N, heads});
    require_shape(where, "sum", sum, {N, heads});
  }
  template <class T>
  KOKKOS_FUNCTION void note(std::size_t n, std::size_t h, T largest, T total) const {
    maximum(n, h) = largest;
    sum(n, h) = total;
  }
};
/// In place of `SoftmaxStatistics` where nobody wants them.
struct NoStatistics {
  void require_shapes(char const*, std::size_t, std::size_t) const {}
  template <class T>
  KOKKOS_FUNCTION void note(std::size_t, std::size_t, T, T) const {}
};

/// One query attends to the M tokens of each position: the pooling of the channel aggregation.
///
///     a[n, h, c] = softmax over c of k[c, n, h] . q[h] / sqrt(d)        o[n, h] = sum over c of a[n, h, c] u[c, n, h]
///
/// Shapes: q (D); k, u (M, N, D) keys and values; a (N, heads, M) is kept for the backward pass; o (N, D). D = heads *
/// d; statistics (N, heads) each, or none. Source: mathematics of the materialized form; ClimaX (Nguyen et al. 2023),
/// variable aggregation.
template <KokkosExecutionSpace ExecutionSpace, TensorView<1> Q, TensorView<3> K, TensorView<3> U, TensorView<3> A,
          TensorView<2> O, class Statistics = NoStatistics>
void attention_pooling_forward(ExecutionSpace const& exec, std::size_t heads, Q const& q, K const& k, U const& u,
                               A const& a, O const& o, Statistics const& statistics = {}) {
  using T = typename O::value_type;
  using Worker = Team<ExecutionSpace>;
  auto const [M, N, D] = extents_of(k);
  require(heads > 0 && D % heads == 0, "attention_pooling_forward: width D = ", D,
          " is not a multiple of heads = ", heads);
  require(M > 0, "attention_pooling_forward: there are no tokens to attend to");
  require_shape("attention_pooling_forward", "q", q, {D});
  require_shape("attention_pooling_forward", "u", u, {M, N, D});
  require_shape("attention_pooling_forward", "a", a, {N, heads, M});
  require_shape("attention_pooling_forward", "o", o, {N, D});
  statistics.require_shapes("attention_pooling_forward", N, heads);
  std::size_t const tokens = M;
  std::size_t const positions = N;
  std::size_t const width = D;
  std::size_t const d = D / heads;
  T const scale = T(1) / math::sqrt(static_cast<T>(d));
  constexpr std::size_t block = detail::pooling_block<ExecutionSpace>;
  for_each_team(
      exec, "dchag::ops::attention_pooling_forward", (N + block - 1) / block,
      KOKKOS_LAMBDA(Worker const& team, std::size_t task) {
        std::size_t const begin = task * block;
        std::size_t const end = (math::min)(positions, begin + block);
        for (std::size_t c = 0; c < tokens; ++c) {
          for (std::size_t n = begin; n < end; ++n) {
            for (std::size_t h = 0; h < heads; ++h) {
              T const* key = &k(c, n, h * d);
              T const* query = &q(h * d);
              T const logit = team.template sum<T>(d, [&](std::size_t j) { return key[j] * query[j]; });
              team.once([&] { a(n, h, c) = scale * logit; });
            }
          }
        }
        team.barrier();
        for (std::size_t n = begin; n < end; ++n) {
          for (std::size_t h = 0; h < heads; ++h) {
            T* row = &a(n, h, 0);
            T const largest = team.template max<T>(tokens, [&](std::size_t c) { return row[c]; });
            team.for_each(tokens, [&](std::size_t c) { row[c] = math::exp(row[c] - largest); });
            team.barrier();
            T const total = team.template sum<T>(tokens, [&](std::size_t c) { return row[c]; });
            team.once([&] { statistics.note(n, h, largest, total); });
            T const scaling = T(1) / total;
            team.for_each(tokens, [&](std::size_t c) { row[c] *= scaling; });
          }
          team.for_each(width, [&](std::size_t j) { o(n, j) = T(0); });
        }
        team.barrier();
        for (std::size_t c = 0; c < tokens; ++c) {
          for (std::size_t n = begin; n < end; ++n) {
            for (std::size_t h = 0; h < heads; ++h) {
              T const weight = a(n, h, c);
              T const* value = &u(c, n, h * d);
              T* sum = &o(n, h * d);
              team.for_each(d, [&](std::size_t j) { sum[j] += weight * value[j]; });
            }
          }
        }
      });
}

/// Gradients of keys, values and query from d_o.
///
/// Shapes: as forward; d_k, d_u (M, N, D); d_q_rows (N, D) gets each position's part of the query's gradient, which the
/// caller sums over positions (`add_column_sums`); delta (N, heads) is scratch.
/// Source: as in FlashAttention-2, delta = sum over d of d_o * o replaces the sum over tokens, so one pass serves.
template <KokkosExecutionSpace ExecutionSpace, TensorView<1> Q, TensorView<3> K, TensorView<3> U, TensorView<3> A,
          TensorView<2> O, TensorView<2> DO, TensorView<2> Delta, TensorView<3> DK, TensorView<3> DU, TensorView<2> DQ>
void attention_pooling_backward(ExecutionSpace const& exec, std::size_t heads, Q const& q, K const& k, U const& u,
                                A const& a, O const& o, DO const& d_o, Delta const& delta, DK const& d_k, DU const& d_u,
                                DQ const& d_q_rows) {
  using T = typename DK::value_type;
  using Worker = Team<ExecutionSpace>;
  auto const [M, N, D] = extents_of(k);
  require(heads > 0 && D % heads == 0, "attention_pooling_backward: width D = ", D,
          " is not a multiple of heads = ", heads);
  require_shape("attention_pooling_backward", "q", q, {D});
  require_shape("attention_pooling_backward", "u", u, {M, N, D});
  require_shape("attention_pooling_backward", "a", a, {N, heads, M});
  require_shape("attention_pooling_backward", "o", o, {N, D});
  require_shape("attention_pooling_backward", "d_o", d_o, {N, D});
  require_shape("attention_pooling_backward", "delta", delta, {N, heads});
  require_shape("attention_pooling_backward", "d_k", d_k, {M, N, D});
  require_shape("attention_pooling_backward", "d_u", d_u, {M, N, D});
  require_shape("attention_pooling_backward", "d_q_rows", d_q_rows, {N, D});
  std::size_t const tokens = M;
  std::size_t const positions = N;
  std::size_t const width = D;
  std::size_t const d = D / heads;
  T const scale = T(1) / math::sqrt(static_cast<T>(d));
  constexpr std::size_t block = detail::pooling_block<ExecutionSpace>;
  for_each_team(
      exec, "dchag::ops::attention_pooling_backward", (N + block - 1) / block,
      KOKKOS_LAMBDA(Worker const& team, std::size_t task) {
        std::size_t const begin = task * block;
        std::size_t const end = (math::min)(positions, begin + block);
        for (std::size_t n = begin; n < end; ++n) {
          for (std::size_t h = 0; h < heads; ++h) {
            T const sum = team.template sum<T>(d, [&](std::size_t j) { return d_o(n, h * d + j) * o(n, h * d + j); });
            team.once([&] { delta(n, h) = sum; });
          }
          team.for_each(width, [&](std::size_t j) { d_q_rows(n, j) = T(0); });
        }
        team.barrier();
        for (std::size_t c = 0; c < tokens; ++c) {
          for (std::size_t n = begin; n < end; ++n) {
            for (std::size_t h = 0; h < heads; ++h) {
              T const* gradient = &d_o(n, h * d);
              T const* query = &q(h * d);
              T const* key = &k(c, n, h * d);
              T const* value = &u(c, n, h * d);
              T* d_key = &d_k(c, n, h * d);
              T* d_value = &d_u(c, n, h * d);
              T* d_query = &d_q_rows(n, h * d);
              T const d_a = team.template sum<T>(d, [&](std::size_t j) { return gradient[j] * value[j]; });
              T const weight = a(n, h, c);
              // a weight of 1 leaves its logit no gradient: d_a and delta agree but for rounding
              T const d_logit = weight >= T(1) ? T(0) : scale * weight * (d_a - delta(n, h));
              team.for_each(d, [&](std::size_t j) {
                d_value[j] = weight * gradient[j];
                d_key[j] = d_logit * query[j];
                d_query[j] += d_logit * key[j];
              });
            }
          }
        }
      });
}

#define DCHAG_KERNELS_OF(ExecutionSpace, T)                                                                            \
  DCHAG_KERNEL void attention_pooling_forward(                                                                         \
      ExecutionSpace const&, std::size_t, Tensor<ExecutionSpace, T, 1> const&, Tensor<ExecutionSpace, T, 3> const&,    \
      Tensor<ExecutionSpace, T, 3> const&, Tensor<ExecutionSpace, T, 3> const&, Tensor<ExecutionSpace, T, 2> const&,   \
      NoStatistics const&);                                                                                            \
  DCHAG_KERNEL void attention_pooling_forward(                                                                         \
      ExecutionSpace const&, std::size_t, Tensor<ExecutionSpace, T, 1> const&, Tensor<ExecutionSpace, T, 3> const&,    \
      Tensor<ExecutionSpace, T, 3> const&, Tensor<ExecutionSpace, T, 3> const&, Tensor<ExecutionSpace, T, 2> const&,   \
      SoftmaxStatistics<Tensor<ExecutionSpace, T, 2>> const&);                                                         \
  DCHAG_KERNEL void attention_pooling_backward(                                                                        \
      ExecutionSpace const&, std::size_t, Tensor<ExecutionSpace, T, 1> const&, Tensor<ExecutionSpace, T, 3> const&,    \
      Tensor<ExecutionSpace, T, 3> const&, Tensor<ExecutionSpace, T, 3> const&, Tensor<ExecutionSpace, T, 2> const&,   \
      Tensor<ExecutionSpace, T, 2> const&, Tensor<ExecutionSpace, T, 2> const&, Tensor<ExecutionSpace, T, 3> const&,   \
      Tensor<ExecutionSpace, T, 3> const&, Tensor<ExecutionSpace, T, 2> const&);
DCHAG_COMPILED(DCHAG_KERNELS_OF)
#undef DCHAG_KERNELS_OF

} // namespace dchag::ops
