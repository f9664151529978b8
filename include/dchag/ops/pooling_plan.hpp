// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/error.hpp>

#include <algorithm>
#include <cstddef>

namespace dchag::ops {

/// Where the values of a fused attention pooling are taken from.
///
///     tokens  m[n, h] = sum over c of a[n, h, c] x[c, n], tokens made tile by tile;  o[n, h] = W_v[h] m[n, h]
///     pixels  o[n, h] = sum over c of (W_v[h] E[c]) (a[n, h, c] patch(c, n)) + ..., no token at all
enum class Values { automatic, tokens, pixels };

inline char const* name_of(Values values) {
  return values == Values::tokens ? "tokens" : values == Values::pixels ? "pixels" : "automatic";
}

/// What a caller may decide instead of the cost model; 0 and `automatic` leave it to the model.
struct PoolingChoice {
  Values values = Values::automatic;
  std::size_t tile = 0; ///< positions worked on at a time
};

/// Sizes of a fused attention pooling: N positions, C tokens each, made of s pixels, width D, h heads with V
/// features of the output in all, which is D unless these are only some of a module's heads.
struct PoolingSizes {
  std::size_t positions, tokens, pixels, width, heads, outputs;
};

/// How a fused attention pooling is carried out.
struct PoolingPlan {
  Values values;      ///< `tokens` or `pixels`
  std::size_t tile;   ///< positions worked on at a time
  double operations;  ///< of forward and backward together: multiplications and additions
  double alternative; ///< what the other form would take
};

/// Operations of forward and backward without the products that both forms share with every other (W_o).
///
///     tokens  N (6 C s D + 8 C h D + 6 D V + 6 C h s) + 8 C h s D
///     pixels  N (6 C (s + 1) V + 12 C h s) + 8 C (s + 1) D V + 8 C h s D
///
/// The first terms are tokens or values, made twice, and the gradient of E; 8 C h D the sums over channels and heads;
/// 8 C (s + 1) D V the folding of W_v into E, twice, and its adjoint. For V = D, which is smaller turns at
/// about N = s D / h; the fewer of the heads, the sooner pixels win.
inline double pooling_operations(Values values, PoolingSizes const& sizes) {
  auto const number = [](std::size_t n) { return static_cast<double>(n); };
  double const N = number(sizes.positions), C = number(sizes.tokens), s = number(sizes.pixels);
  double const D = number(sizes.width), h = number(sizes.heads), V = number(sizes.outputs);
  double const keys = 8 * C * h * s * D; // folded twice, and two products of the adjoint
  if (values == Values::tokens) return N * (6 * C * s * D + 8 * C * h * D + 6 * D * V + 6 * C * h * s) + keys;
  return N * (6 * C * (s + 1) * V + 12 * C * h * s) + 8 * C * (s + 1) * D * V + keys;
}

/// The cost model: the form with the fewer operations, unless the caller chose.
inline Values cheaper_values(PoolingSizes const& sizes, Values wanted) {
  if (wanted != Values::automatic) return wanted;
  return pooling_operations(Values::tokens, sizes) <= pooling_operations(Values::pixels, sizes) ? Values::tokens
                                                                                                : Values::pixels;
}

/// What these values take, worked on so many positions at a time.
inline PoolingPlan plan_of(PoolingSizes const& sizes, Values values, std::size_t tile) {
  auto const other = values == Values::tokens ? Values::pixels : Values::tokens;
  return {values, tile, pooling_operations(values, sizes), pooling_operations(other, sizes)};
}

/// Form and tile. `tile` is what the machine likes, at most as many positions as there are and as few as keep `workers`
/// busy; always a multiple of `unit`. Throws: ShapeError unless there are heads and features of the output.
inline PoolingPlan plan_pooling(PoolingSizes const& sizes, PoolingChoice const& choice, std::size_t tile,
                                std::size_t unit, std::size_t workers) {
  require(sizes.heads > 0 && sizes.outputs > 0, "plan_pooling: h = ", sizes.heads, " heads with V = ", sizes.outputs,
          " features, expected at least 1 each");
  auto const values = cheaper_values(sizes, choice.values);
  auto const rounded = [&](std::size_t positions) { return (positions + unit - 1) / unit * unit; };
  std::size_t const share = rounded((sizes.positions + workers - 1) / workers);
  std::size_t const positions = choice.tile > 0 ? rounded(choice.tile) : (std::max)(unit, (std::min)(tile, share));
  return plan_of(sizes, values, positions);
}

} // namespace dchag::ops
