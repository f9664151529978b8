// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/error.hpp>

#include <algorithm>
#include <cstddef>
#include <initializer_list>

namespace dchag::ops {

/// Where the values of a fused attention pooling are taken from.
///
///     tokens  m[n, h] = sum over c of a[n, h, c] x[c, n], tokens made tile by tile;  o[n, h] = W_v[h] m[n, h]
///     pixels  o[n, h] = sum over c of (W_v[h] E[c]) (a[n, h, c] patch(c, n)) + ..., no token at all
enum class Values { automatic, tokens, pixels };

/// What a caller may decide instead of the cost model; 0 and `automatic` leave it to the model.
struct PoolingChoice {
  Values values = Values::automatic;
  std::size_t tile = 0; ///< positions worked on at a time
};

/// Sizes of a fused attention pooling: N positions, C tokens each, made of s pixels, width D, h heads.
struct PoolingSizes {
  std::size_t positions, tokens, pixels, width, heads;
};

} // namespace dchag::ops
