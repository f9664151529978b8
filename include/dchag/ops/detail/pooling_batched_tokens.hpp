// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/ops/detail/pooling_kernels.hpp>
#include <dchag/ops/detail/pooling_products.hpp>
#include <dchag/ops/pooling_weights.hpp>

#include <cmath>

namespace dchag::ops::detail {

/// Positions and channels that are worked on at a time.
struct PoolingTiles {
  std::size_t positions, tokens;
};

/// Tokens of a part of the channels are made and used, then those of the next part. A tile reads the embeddings and
/// writes their gradients once (S numbers a position and token if tiles were of one position), a part reads and writes
/// m (h numbers a position and token if parts were of one token): tiles and parts are in this proportion.
template <class ExecutionSpace>
PoolingTiles token_tiles(PoolingSizes const& n, std::size_t columns, std::size_t wanted_positions) {
  constexpr std::size_t half = pooling_budget<ExecutionSpace> / 2;
  constexpr std::size_t fewest = runs_on_host<ExecutionSpace> ? 16 : 64;
  std::size_t const per_position = n.tokens * (columns + 3 * n.heads) + 2 * n.heads * n.width;
  std::size_t const tokens_in_budget = std::max<std::size_t>(1, half / n.width);
  auto const balanced = static_cast<std::size_t>(
      std::sqrt(static_cast<double>(tokens_in_budget * 2 * columns) / static_cast<double>(n.heads)));
  std::size_t const most = std::max<std::size_t>(1, half / per_position);
  std::size_t positions = wanted_positions != 0 ? wanted_positions : (std::min)((std::max)(balanced, fewest), most);
  positions = std::clamp<std::size_t>(positions, 1, std::max<std::size_t>(1, n.positions));
  std::size_t const parts = ceil_div(n.tokens, std::clamp<std::size_t>(tokens_in_budget / positions, 1, n.tokens));
  return {positions, ceil_div(n.tokens, parts)};
}

/// What forward and backward need of the weights and of each tile. Patches, embeddings and tokens are stored as
/// TokenType and multiplied as such; logits, statistics and sums over positions are of T.
template <class TokenType, KokkosExecutionSpace ExecutionSpace, Scalar T, class Source>
class BatchedTokens {
public:
  using Frame = typename Workspace<ExecutionSpace>::Frame;
  using Weights = PoolingWeights<ExecutionSpace, T>;
  template <std::size_t Rank>
  using Stored = Tensor<ExecutionSpace, TokenType, Rank>;

  BatchedTokens(ExecutionSpace const& instance, Frame& frame, std::size_t wanted_positions, Source const& patches,
                Weights const& weights)
      : exec(instance), sizes(sizes_of(patches, weights)), columns(padded_columns(sizes.pixels)),
        tiles(token_tiles<ExecutionSpace>(sizes, columns, wanted_positions)),
        g(frame.template take<TokenType, 3>({sizes.heads, sizes.tokens, columns})),
        value(stored_as<TokenType>(exec, frame, weights.value)), m_patches(patches), m_weights(weights),
        m_embedding(frame.template take<TokenType, 1>({sizes.width * tiles.tokens * columns})) {
    auto const query = stored_as<TokenType>(exec, frame, weights.query);
    for_each_part(sizes.tokens, tiles.tokens, [&](std::size_t begin, std::size_t end) {
      gemm(exec, Op::none, Op::none, T(1), query, flattened(embedding(begin, end)), T(0),
           flattened(middle(g, begin, end)));
    });
  }

  /// Vendors' products want rows at multiples of 16 bytes. Tokens of bfloat16 go a device's way on hosts too.
  static std::size_t padded_columns(std::size_t pixels) {
    constexpr std::size_t unit =
        runs_on_host<ExecutionSpace> && std::is_same_v<TokenType, T> ? 1 : 16 / sizeof(TokenType);
    return ceil_div(pixels + 1, unit) * unit;
  }

  /// E of the tokens [begin, end): (D, tokens, S). Read from the weights unless it was the last one asked for.
  Stored<3> embedding(std::size_t begin, std::size_t end) {
    Stored<3> const part(m_embedding.data(), sizes.width, end - begin, columns);
    if (m_begin != begin) gather_embedding(exec, m_weights.patch_embedding, begin, part);
    m_begin = begin;
    return part;
  }

  /// Patches (C, t, S) and logits (C, t, h) of a tile.
  Stored<3> patches(Frame& frame, std::size_t begin, std::size_t end) const {
    auto const p = frame.template take<TokenType, 3>({sizes.tokens, end - begin, columns});
    gather_tile(exec, m_patches, 0, begin, p);
    return p;
  }
  auto logits(Frame& frame, Stored<3> const& p) const {
    auto const z = frame.template take<T, 3>({sizes.tokens, p.extent(1), sizes.heads});
    gemm(exec, Op::none, Op::transpose, T(1), p, exchanged(g), T(0), z);
    return z;
  }

  /// Tokens of a part: (tokens, t, D).
  Stored<3> tokens(Frame& frame, Stored<3> const& p, std::size_t begin, std::size_t end) {
    auto const x = frame.template take<TokenType, 3>({end - begin, p.extent(1), sizes.width});
    gemm(exec, Op::none, Op::transpose, T(1), slices(p, begin, end), exchanged(embedding(begin, end)), T(0), x);
    return x;
  }

  ExecutionSpace exec;
  PoolingSizes sizes;
  std::size_t columns; // S
  PoolingTiles tiles;
  Stored<3> g;     // (h, C, S): logits are g[h, c] . p[c, n]
  Stored<2> value; // (V, D): W_v

private:
  Source const& m_patches;
  Weights const& m_weights;
  Stored<1> m_embedding;
  std::size_t m_begin = static_cast<std::size_t>(-1);
};

/// See `batched_pooling_forward`. Returns the positions of a tile.
template <class TokenType, KokkosExecutionSpace ExecutionSpace, Scalar T, class Source>
std::size_t batched_tokens_forward(Workspace<ExecutionSpace>& workspace, std::size_t wanted_positions,
                                   Source const& patches, PoolingWeights<ExecutionSpace, T> const& weights,
                                   Pooled<ExecutionSpace, T> const& pooled) {
  auto const& exec = workspace.exec();
  auto frame = workspace.frame();
  BatchedTokens<TokenType, ExecutionSpace, T, Source> batched(exec, frame, wanted_positions, patches, weights);
  auto const [N, C, s, D, h, V] = batched.sizes;
  std::size_t const width = D;
  std::size_t const heads = h;
  std::size_t const count = C;
  for_each_part(N, batched.tiles.positions, [&](std::size_t begin, std::size_t end) {
    auto tile = workspace.frame();
    auto const p = batched.patches(tile, begin, end);
    auto const z = batched.logits(tile, p); // (C, t, h)
    auto const maximum = rows_of(pooled.maximum, begin, end);
    auto const sum = rows_of(pooled.sum, begin, end);
    softmax_statistics(exec, by_tokens(z), true, maximum, sum);
    auto const a = scratch_like<TokenType>(tile, z); // (C, t, h)
    softmax_weights(exec, by_tokens(z), maximum, sum, by_tokens(a));
    auto const m = tile.template take<T, 3>({end - begin, heads, width});
    for_each_part(count, batched.tiles.tokens, [&](std::size_t c, std::size_t c_end) {
      auto part = workspace.frame();
      auto const x = batched.tokens(part, p, c, c_end);
      add_weighted_tokens(exec, slices(a, c, c_end), x, c == 0, m);
    });
    value_forward(exec, stored_as<TokenType>(exec, tile, m), batched.value, rows_of(pooled.o, begin, end));
  });
  return batched.tiles.positions;
}

/// See `batched_pooling_backward`.
template <class TokenType, KokkosExecutionSpace ExecutionSpace, Scalar T, class Source, class DSource>
void batched_tokens_backward(Workspace<ExecutionSpace>& workspace, std::size_t wanted_positions, Source const& patches,
                             PoolingWeights<ExecutionSpace, T> const& weights, Pooled<ExecutionSpace, T> const& pooled,
                             Tensor<ExecutionSpace, T, 2> const& d_o, Tensor<ExecutionSpace, T, 2> const& delta,
                             PoolingWeights<ExecutionSpace, T> const& d_weights, DSource const& d_patches) {
  auto const& exec = workspace.exec();
  auto frame = workspace.frame();
  BatchedTokens<TokenType, ExecutionSpace, T, Source> batched(exec, frame, wanted_positions, patches, weights);
  auto const [N, C, s, D, h, V] = batched.sizes;
  std::size_t const S = batched.columns;
  std::size_t const width = D;
  std::size_t const heads = h;
  std::size_t const count = C;
  auto const Q = frame.template take<T, 3>({heads, count, S}); // sum over n of d_z p
  clear_rows(exec, flattened(Q));
  auto const d_embedding = frame.template take<T, 1>({width * batched.tiles.tokens * S});
  auto const d_embedding_of = [&](std::size_t c, std::size_t c_end) {
    return Tensor<ExecutionSpace, T, 3>(d_embedding.data(), width, c_end - c, S);
  };

  for_each_part(N, batched.tiles.positions, [&](std::size_t begin, std::size_t end) {
    auto tile = workspace.frame();
    std::size_t const t = end - begin;
    auto const p = batched.patches(tile, begin, end);
    auto const z = batched.logits(tile, p);          // (C, t, h)
    auto const a = scratch_like<TokenType>(tile, z); // (C, t, h)
    softmax_weights(exec, by_tokens(z), rows_of(pooled.maximum, begin, end), rows_of(pooled.sum, begin, end),
                    by_tokens(a));
    auto const d_o_tile = stored_as<TokenType>(exec, tile, rows_of(d_o, begin, end));
    auto const m = tile.template take<T, 3>({t, heads, width});
    auto const d_m = tile.template take<TokenType, 3>({t, heads, width});
    value_backward(exec, d_o_tile, batched.value, d_m);
    for_each_part(count, batched.tiles.tokens, [&](std::size_t c, std::size_t c_end) {
      auto part = workspace.frame();
      auto const x = batched.tokens(part, p, c, c_end);
      auto const E = batched.embedding(c, c_end);
      auto const p_part = slices(p, c, c_end);
      auto const a_part = slices(a, c, c_end);
      add_weighted_tokens(exec, a_part, x, c == 0, m);

      auto const d_a = part.template take<T, 3>({c_end - c, t, heads});
      auto const d_z = scratch_like<TokenType>(part, d_a);
      token_products(exec, x, d_m, d_a);
      logit_gradient(exec, by_tokens(a_part), by_tokens(d_a), rows_of(delta, begin, end), by_tokens(d_z));
      gemm(exec, Op::transpose, Op::none, T(1), d_z, p_part, T(1), exchanged(middle(Q, c, c_end)));

      auto const d_x = x; // of the values alone: what goes through the logits stays in pixels
      spread_to_tokens(exec, a_part, d_m, d_x);
      auto const d_E = d_embedding_of(c, c_end);
      gemm(exec, Op::transpose, Op::none, T(1), d_x, p_part, T(0), exchanged(d_E));
      scatter_embedding(exec, d_E, c, d_weights.patch_embedding);
      if constexpr (is_wanted<DSource>) {
        auto const d_p = part.template take<T, 3>({c_end - c, t, S});
        gemm(exec, Op::none, Op::none, T(1), d_x, exchanged(E), T(0), d_p);
        gemm(exec, Op::none, Op::none, T(1), d_z, exchanged(middle(batched.g, c, c_end)), T(1), d_p);
        scatter_tile(exec, d_p, c, begin, d_patches);
      }
    });
    add_value_gradient(exec, d_o_tile, stored_as<TokenType>(exec, tile, m), d_weights.value);
  });

  for_each_part(count, batched.tiles.tokens, [&](std::size_t c, std::size_t c_end) {
    auto const E = d_embedding_of(c, c_end); // of T, where its gradient will be
    auto const d_E = E;
    auto const Q_part = flattened(middle(Q, c, c_end));
    gather_embedding(exec, weights.patch_embedding, c, E);
    gemm(exec, Op::none, Op::transpose, T(1), Q_part, flattened(E), T(c == 0 ? 0 : 1), d_weights.query);
    gemm(exec, Op::transpose, Op::none, T(1), weights.query, Q_part, T(0), flattened(d_E));
    scatter_embedding(exec, d_E, c, d_weights.patch_embedding);
  });
}

} // namespace dchag::ops::detail
