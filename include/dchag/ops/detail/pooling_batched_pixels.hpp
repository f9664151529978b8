// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/ops/detail/pooling_kernels.hpp>
#include <dchag/ops/gemm.hpp>
#include <dchag/ops/pooling_weights.hpp>

namespace dchag::ops::detail {

/// Channels that are worked on at a time, and positions of a tile of them.
struct PixelTiles {
  std::size_t tokens, positions;
};

template <class ExecutionSpace>
PixelTiles pixel_tiles(PoolingSizes const& n, std::size_t wanted_positions) {
  constexpr std::size_t half = pooling_budget<ExecutionSpace> / 2;
  std::size_t const S = n.pixels + 1;
  std::size_t const parts = ceil_div(
      n.tokens, std::clamp<std::size_t>(half / (2 * (n.width + n.outputs) * S), 1, n.tokens)); // E, U, their gradients
  std::size_t const tokens = ceil_div(n.tokens, parts);
  std::size_t const per_position = tokens * (2 * (n.heads + 1) * S + 2 * n.heads);
  std::size_t const positions = wanted_positions != 0 ? wanted_positions : half / per_position;
  return {tokens, std::clamp<std::size_t>(positions, 1, std::max<std::size_t>(1, n.positions))};
}

/// z[c, n, h] becomes a = exp(z - maximum) / sum, and scaled[h, n, c] = a[c, n, h] p[c, n].
///
/// Shapes: p (C, t, S); z (C, t, h); maximum, sum (t, h); scaled (h, t, C, S).
template <class ExecutionSpace, TensorView<3> P, TensorView<3> Z, TensorView<2> Statistics, TensorView<4> Scaled>
void scale_patches(ExecutionSpace const& exec, P const& p, Z const& z, Statistics const& maximum, Statistics const& sum,
                   Scaled const& scaled) {
  using T = typename Z::value_type;
  std::size_t const heads = z.extent(2);
  std::size_t const S = p.extent(2);
  for_each_element(
      exec, "dchag::ops::scale_patches", p.extent(1), p.extent(0), KOKKOS_LAMBDA(std::size_t n, std::size_t c) {
        for (std::size_t h = 0; h < heads; ++h) {
          T const a = math::exp(z(c, n, h) - maximum(n, h)) / sum(n, h);
          z(c, n, h) = a;
          for (std::size_t k = 0; k < S; ++k) scaled(h, n, c, k) = a * p(c, n, k);
        }
      });
}

/// The adjoint: d_z = a (d_scaled . p - delta).
///
/// Shapes: a, d_z (C, t, h); delta (t, h); d_scaled (h, t, C, S).
template <class ExecutionSpace, TensorView<4> DScaled, TensorView<3> P, TensorView<3> A, TensorView<2> Delta,
          TensorView<3> DZ>
void scaled_logit_gradient(ExecutionSpace const& exec, DScaled const& d_scaled, P const& p, A const& a,
                           Delta const& delta, DZ const& d_z) {
  using T = typename DZ::value_type;
  std::size_t const heads = a.extent(2);
  std::size_t const S = p.extent(2);
  for_each_element(
      exec, "dchag::ops::scaled_logit_gradient", p.extent(1), p.extent(0), KOKKOS_LAMBDA(std::size_t n, std::size_t c) {
        for (std::size_t h = 0; h < heads; ++h) {
          T d_a = T(0);
          for (std::size_t k = 0; k < S; ++k) d_a += d_scaled(h, n, c, k) * p(c, n, k);
          d_z(c, n, h) = a(c, n, h) >= T(1) ? T(0) : a(c, n, h) * (d_a - delta(n, h)); // as `logit_gradient`
        }
      });
}

/// d_p[c, n] = sum over h of a[c, n, h] d_scaled[h, n, c] + d_z[c, n, h] g[h, c].
///
/// Shapes: d_p (C, t, S); g (h, C, S).
template <class ExecutionSpace, TensorView<4> DScaled, TensorView<3> A, TensorView<3> DZ, TensorView<3> G,
          TensorView<3> DP>
void scaled_patch_gradient(ExecutionSpace const& exec, DScaled const& d_scaled, A const& a, DZ const& d_z, G const& g,
                           DP const& d_p) {
  using T = typename DP::value_type;
  std::size_t const heads = a.extent(2);
  std::size_t const S = d_p.extent(2);
  for_each_element(
      exec, "dchag::ops::scaled_patch_gradient", d_p.extent(1), d_p.extent(0),
      KOKKOS_LAMBDA(std::size_t n, std::size_t c) {
        for (std::size_t k = 0; k < S; ++k) {
          T sum = T(0);
          for (std::size_t h = 0; h < heads; ++h) sum += a(c, n, h) * d_scaled(h, n, c, k) + d_z(c, n, h) * g(h, c, k);
          d_p(c, n, k) = sum;
        }
      });
}

/// (A, B, C, S) as (A, B, C S).
template <TensorView<4> View>
auto joined(View const& view) {
  return reshape<3>(view, {view.extent(0), view.extent(1), view.extent(2) * view.extent(3)});
}

/// (V, C, S) as (h, d, C S).
template <TensorView<3> View>
auto head_matrices(View const& view, std::size_t heads) {
  return reshape<3>(view, {heads, view.extent(0) / heads, view.extent(1) * view.extent(2)});
}

/// A part of the channels: E (D, C, S) and g (h, C, S), and what forward and backward do alike with them.
template <KokkosExecutionSpace ExecutionSpace, Scalar T>
struct PixelPart {
  using Frame = typename Workspace<ExecutionSpace>::Frame;
  template <std::size_t Rank>
  using Numbers = Tensor<ExecutionSpace, T, Rank>;

  ExecutionSpace exec;
  std::size_t begin;
  Numbers<3> E, g;

  PixelPart(ExecutionSpace const& instance, Frame& frame, PoolingWeights<ExecutionSpace, T> const& weights,
            std::size_t from, std::size_t to)
      : exec(instance), begin(from),
        E(frame.template take<T, 3>({weights.query.extent(1), to - from, weights.patch_embedding.pixels() + 1})),
        g(frame.template take<T, 3>({weights.query.extent(0), to - from, weights.patch_embedding.pixels() + 1})) {
    gather_embedding(exec, weights.patch_embedding, begin, E);
    gemm(exec, Op::none, Op::none, T(1), weights.query, flattened(E), T(0), flattened(g));
  }

  /// U = W_v E: (V, C, S).
  Numbers<3> values(Frame& frame, Numbers<2> const& value) const {
    auto const U = frame.template take<T, 3>({value.extent(0), E.extent(1), E.extent(2)});
    gemm(exec, Op::none, Op::none, T(1), value, flattened(E), T(0), flattened(U));
    return U;
  }

  /// Patches (C, t, S) and logits (C, t, h) of positions [first, last).
  template <class Source>
  Numbers<3> patches(Frame& frame, Source const& source, std::size_t first, std::size_t last) const {
    auto const p = frame.template take<T, 3>({g.extent(1), last - first, g.extent(2)});
    gather_tile(exec, source, begin, first, p);
    return p;
  }
  Numbers<3> logits(Frame& frame, Numbers<3> const& p) const {
    auto const z = frame.template take<T, 3>({g.extent(1), p.extent(1), g.extent(0)});
    gemm(exec, Op::none, Op::transpose, T(1), p, exchanged(g), T(0), z);
    return z;
  }
  Numbers<4> scaled(Frame& frame, Numbers<3> const& p) const {
    return frame.template take<T, 4>({g.extent(0), p.extent(1), p.extent(0), p.extent(2)});
  }
};

/// See `fold_values`.
template <KokkosExecutionSpace ExecutionSpace, Scalar T>
void batched_fold_values(Workspace<ExecutionSpace>& workspace, PoolingWeights<ExecutionSpace, T> const& weights,
                         Tensor<ExecutionSpace, T, 3> const& folded) {
  auto const& embedding = weights.patch_embedding;
  PoolingSizes const sizes{.positions = 0,
                           .tokens = embedding.tokens(),
                           .pixels = embedding.pixels(),
                           .width = embedding.width(),
                           .heads = weights.query.extent(0),
                           .outputs = weights.value.extent(0)};
  for_each_part(sizes.tokens, pixel_tiles<ExecutionSpace>(sizes, 0).tokens, [&](std::size_t c, std::size_t c_end) {
    auto frame = workspace.frame();
    auto const E = frame.template take<T, 3>({sizes.width, c_end - c, sizes.pixels + 1});
    gather_embedding(workspace.exec(), weights.patch_embedding, c, E);
    gemm(workspace.exec(), Op::transpose, Op::transpose, T(1), flattened(E), weights.value, T(0),
         rows(slices(folded, c, c_end)));
  });
}

/// See `batched_pooling_forward`. Returns the positions of a tile.
template <KokkosExecutionSpace ExecutionSpace, Scalar T, class Source>
std::size_t batched_pixels_forward(Workspace<ExecutionSpace>& workspace, std::size_t wanted_positions,
                                   Source const& patches, PoolingWeights<ExecutionSpace, T> const& weights,
                                   Pooled<ExecutionSpace, T> const& pooled,
                                   Tensor<ExecutionSpace, T, 3> const& folded = {}) {
  bool const is_folded = folded.data() != nullptr;
  auto const& exec = workspace.exec();
  auto const sizes = sizes_of(patches, weights);
  auto const tiles = pixel_tiles<ExecutionSpace>(sizes, wanted_positions);
  // The weights of a token need the logits of all tokens, and tiles of positions want values made once: first the
  // statistics, then the sums.
  for (bool const only_statistics : {true, false}) {
    for_each_part(sizes.tokens, tiles.tokens, [&](std::size_t c, std::size_t c_end) {
      auto frame = workspace.frame();
      PixelPart<ExecutionSpace, T> const part(exec, frame, weights, c, c_end);
      auto const U = only_statistics || is_folded ? Tensor<ExecutionSpace, T, 3>() : part.values(frame, weights.value);
      for_each_part(sizes.positions, tiles.positions, [&](std::size_t n, std::size_t n_end) {
        auto tile = workspace.frame();
        auto const p = part.patches(tile, patches, n, n_end);
        auto const z = part.logits(tile, p);
        auto const maximum = rows_of(pooled.maximum, n, n_end);
        auto const sum = rows_of(pooled.sum, n, n_end);
        if (only_statistics) return softmax_statistics(exec, by_tokens(z), c == 0, maximum, sum);
        auto const scaled = part.scaled(tile, p);
        scale_patches(exec, p, z, maximum, sum, scaled);
        auto const o = by_heads(rows_of(pooled.o, n, n_end), sizes.heads);
        T const kept = T(c == 0 ? 0 : 1);
        if (is_folded)
          gemm(exec, Op::none, Op::none, T(1), joined(scaled), by_heads(rows(slices(folded, c, c_end)), sizes.heads),
               kept, o);
        else
          gemm(exec, Op::none, Op::transpose, T(1), joined(scaled), head_matrices(U, sizes.heads), kept, o);
      });
    });
  }
  return tiles.positions;
}

/// See `batched_pooling_backward`.
template <KokkosExecutionSpace ExecutionSpace, Scalar T, class Source, class DSource>
void batched_pixels_backward(Workspace<ExecutionSpace>& workspace, std::size_t wanted_positions, Source const& patches,
                             PoolingWeights<ExecutionSpace, T> const& weights, Pooled<ExecutionSpace, T> const& pooled,
                             Tensor<ExecutionSpace, T, 2> const& d_o, Tensor<ExecutionSpace, T, 2> const& delta,
                             PoolingWeights<ExecutionSpace, T> const& d_weights, DSource const& d_patches) {
  auto const& exec = workspace.exec();
  auto const sizes = sizes_of(patches, weights);
  auto const tiles = pixel_tiles<ExecutionSpace>(sizes, wanted_positions);
  for_each_part(sizes.tokens, tiles.tokens, [&](std::size_t c, std::size_t c_end) {
    auto frame = workspace.frame();
    PixelPart<ExecutionSpace, T> const part(exec, frame, weights, c, c_end);
    auto const U = part.values(frame, weights.value);
    auto const d_U = frame.template take<T, 3>(extents_of(U));    // sum over n of d_o (a p)^T
    auto const Q = frame.template take<T, 3>(extents_of(part.g)); // sum over n of d_z p
    clear_rows(exec, flattened(d_U));
    clear_rows(exec, flattened(Q));
    for_each_part(sizes.positions, tiles.positions, [&](std::size_t n, std::size_t n_end) {
      auto tile = workspace.frame();
      auto const p = part.patches(tile, patches, n, n_end);
      auto const a = part.logits(tile, p);
      auto const scaled = part.scaled(tile, p);
      scale_patches(exec, p, a, rows_of(pooled.maximum, n, n_end), rows_of(pooled.sum, n, n_end), scaled);
      auto const d_o_heads = by_heads(rows_of(d_o, n, n_end), sizes.heads); // (h, t, d)
      gemm(exec, Op::transpose, Op::none, T(1), d_o_heads, joined(scaled), T(1), head_matrices(d_U, sizes.heads));
      auto const d_scaled = scaled; // not needed any more
      gemm(exec, Op::none, Op::none, T(1), d_o_heads, head_matrices(U, sizes.heads), T(0), joined(d_scaled));
      auto const d_z = tile.template take<T, 3>(extents_of(a));
      scaled_logit_gradient(exec, d_scaled, p, a, rows_of(delta, n, n_end), d_z);
      gemm(exec, Op::transpose, Op::none, T(1), d_z, p, T(1), exchanged(Q));
      if constexpr (is_wanted<DSource>) {
        auto const d_p = p;
        scaled_patch_gradient(exec, d_scaled, a, d_z, part.g, d_p);
        scatter_tile(exec, d_p, c, n, d_patches);
      }
    });
    // U was last used in the last tile.
    auto const d_E = sizes.outputs == sizes.width ? U : frame.template take<T, 3>(extents_of(part.E));
    gemm(exec, Op::transpose, Op::none, T(1), weights.value, flattened(d_U), T(0), flattened(d_E));
    gemm(exec, Op::transpose, Op::none, T(1), weights.query, flattened(Q), T(1), flattened(d_E));
    scatter_embedding(exec, d_E, c, d_weights.patch_embedding);
    gemm(exec, Op::none, Op::transpose, T(1), flattened(d_U), flattened(part.E), T(1), d_weights.value);
    gemm(exec, Op::none, Op::transpose, T(1), flattened(Q), flattened(part.E), T(c == 0 ? 0 : 1), d_weights.query);
  });
}

} // namespace dchag::ops::detail
