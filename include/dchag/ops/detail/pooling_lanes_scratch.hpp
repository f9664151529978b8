// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// \file
/// How the fused attention pooling on hosts cuts its work, and what scratch that takes: known from sizes alone, so that
/// it can be planned. Lists of numbers are in the order in which they are taken.

#include <dchag/core/math.hpp>
#include <dchag/core/scratch_bytes.hpp>
#include <dchag/ops/detail/lanes.hpp>
#include <dchag/ops/pooling_plan.hpp>

namespace dchag::ops::detail {

/// Where patches are large, their embeddings stream through the caches, and pay if more is done with each of them.
inline bool has_large_patches(std::size_t pixels) {
  return pixels >= 128;
}

/// The features of which tokens are made at a time: the wider, the less often a tile's patches and weights stream
/// through the caches, but enough strips for the workers. A multiple of the rows of both products. Measured.
inline std::size_t host_strip(std::size_t D, std::size_t workers) {
  constexpr std::size_t rows = 24;
  return (std::min)(D, std::clamp<std::size_t>(D / (4 * workers) / rows, 1, 4) * rows);
}

/// The positions that a host works on at a time: the strips of their tokens and sums stay in a core's cache. Measured.
template <class T>
std::size_t host_tile(std::size_t pixels) {
  return (has_large_patches(pixels) ? 16 : 8) * lanes<T>;
}

/// The sizes of a pooling by lanes, by which its scratch is measured: features of a strip, and tasks that run at once.
struct LaneSizes {
  std::size_t positions, tokens, pixels, width, heads, outputs, strip, workers;
};
inline LaneSizes lane_sizes(PoolingSizes const& n, std::size_t workers) {
  return {n.positions, n.tokens, n.pixels, n.width, n.heads, n.outputs, host_strip(n.width, workers), workers};
}

/// How the blocks of W positions are shared out: so many to a task, so many tasks, of which so many run at once.
struct LaneTasks {
  std::size_t blocks, tasks, workers;

  LaneTasks(std::size_t all_blocks, std::size_t wanted, std::size_t all_workers)
      : blocks(std::max<std::size_t>(1, (std::min)(wanted, all_blocks))), tasks(ceil_div(all_blocks, blocks)),
        workers((std::min)(tasks, all_workers)) {}
};

/// What `fold_keys` takes, in numbers: keys, their offsets, those of the tokens.
inline std::array<std::size_t, 3> key_scratch(LaneSizes const& n) {
  return {n.tokens * n.heads * n.pixels, n.tokens * n.heads, n.tokens * n.width};
}

// --- tokens made strip by strip -------------------------------------------------------------------------------------
inline constexpr std::size_t strip_channels = 8; // tokens at a time

/// What each worker of the forward pass takes, in numbers: patches, weights, tokens, sums, outputs.
template <class T>
std::array<std::size_t, 5> lane_tokens_scratch(LaneSizes const& n, LaneTasks const& work) {
  std::size_t const block = work.blocks * lanes<T>;
  return {block * n.tokens * n.pixels, block * n.tokens * n.heads, block * n.strip * strip_channels,
          block * n.strip * n.heads, block * n.outputs};
}

/// What the backward pass takes without the image's gradient, `blocks` of positions at a time, in numbers: patches,
/// their rows, weights, gradients of the output; of all workers gradients of the weights, tokens, sums and their
/// gradients; gradients of the keys, of their offsets, of W_v and of the query.
template <class T>
std::array<std::size_t, 12> lane_tokens_gradient_scratch(LaneSizes const& n, std::size_t blocks, std::size_t workers) {
  std::size_t const block = blocks * lanes<T>;
  std::size_t const patches = block * n.tokens * n.pixels;
  std::size_t const weights = block * n.tokens * n.heads;
  std::size_t const sums = workers * block * n.strip * n.heads;
  return {patches,
          patches,
          weights,
          block * n.outputs,
          workers * weights,
          workers * block * n.strip * strip_channels,
          sums,
          sums,
          n.tokens * n.heads * n.pixels,
          n.tokens * n.heads,
          n.width * n.outputs,
          n.width * n.heads + n.tokens * n.heads * n.pixels};
}

/// The most bytes that both passes take at `tile` positions at a time, without the image's gradient.
template <class T>
PassBytes lane_tokens_bytes(LaneSizes const& n, std::size_t tile) {
  LaneTasks const work(ceil_div(n.positions, lanes<T>), tile / lanes<T>, n.workers);
  std::size_t const workers = (std::min)(n.workers, ceil_div(n.width, n.strip));
  std::size_t const keys = scratch_bytes<T>(key_scratch(n));
  return {keys + scratch_bytes<T>(lane_tokens_scratch<T>(n, work), work.workers),
          keys + scratch_bytes<T>(lane_tokens_gradient_scratch<T>(n, work.blocks, workers))};
}

// --- values folded into the pixels ----------------------------------------------------------------------------------
/// How many tokens are folded at a time: enough columns for the products, few enough for the caches.
inline std::size_t folded_chunk(std::size_t C, std::size_t s) {
  constexpr std::size_t columns = 512;
  return std::clamp<std::size_t>(columns / (s + 1), std::min<std::size_t>(C, 4), C);
}

inline constexpr std::size_t statistics_group = 4, statistics_chunk = 16; // blocks of positions, tokens
inline constexpr std::size_t pixels_group = 4;                            // blocks that a product takes together

/// What each worker of `lane_softmax_statistics` takes, in numbers: patches, logits, maxima and sums.
template <class T>
std::array<std::size_t, 3> statistics_scratch(LaneSizes const& n) {
  std::size_t const group = statistics_group * lanes<T>;
  return {group * statistics_chunk * n.pixels, group * statistics_chunk * n.heads, 2 * group * n.heads};
}

/// How many blocks of positions are worked on at a time.
template <class T>
std::size_t pixels_blocks(std::size_t tile) {
  return (std::max)(tile / lanes<T>, pixels_group);
}

/// What the forward pass takes in all, in numbers: embeddings, values, outputs, the first two unless values are given;
/// and each worker: patches, weights, scaled patches.
template <class T>
std::array<std::size_t, 3> lane_pixels_shared_scratch(LaneSizes const& n) {
  std::size_t const columns = folded_chunk(n.tokens, n.pixels) * (n.pixels + 1);
  return {columns * n.width, columns * n.outputs, ceil_div(n.positions, lanes<T>) * n.outputs * lanes<T>};
}
template <class T>
std::array<std::size_t, 3> lane_pixels_scratch(LaneSizes const& n, LaneTasks const& work) {
  std::size_t const chunk = folded_chunk(n.tokens, n.pixels) * lanes<T>;
  return {work.blocks * chunk * (n.pixels + 1), work.blocks * chunk * n.heads, pixels_group * chunk * (n.pixels + 1)};
}

/// What the backward pass takes without the image's gradient, `blocks` of positions at a time, in numbers: embeddings,
/// values, their gradients; gradients of the output; patches, weights; of all workers scaled patches and products;
/// gradients of the keys, of their offsets, in lanes, and of the query.
template <class T>
std::array<std::size_t, 12> lane_pixels_gradient_scratch(LaneSizes const& n, std::size_t blocks, std::size_t workers) {
  constexpr std::size_t W = lanes<T>;
  std::size_t const chunk = folded_chunk(n.tokens, n.pixels);
  std::size_t const columns = chunk * (n.pixels + 1);
  std::size_t const keys = n.tokens * n.heads * n.pixels;
  return {columns * n.width,
          columns * n.outputs,
          columns * n.outputs,
          ceil_div(n.positions, W) * n.outputs * W,
          blocks * columns * W,
          blocks * chunk * n.heads * W,
          workers * pixels_group * columns * W,
          workers * pixels_group * (n.pixels + 1) * W,
          keys,
          n.tokens * n.heads,
          workers * (n.pixels + 1) * W,
          n.width * n.heads + keys};
}

/// The most bytes that both passes take at `tile` positions at a time, without values given or the image's gradient.
template <class T>
PassBytes lane_pixels_bytes(LaneSizes const& n, std::size_t tile) {
  std::size_t const blocks = ceil_div(n.positions, lanes<T>);
  LaneTasks const statistics(blocks, statistics_group, n.workers);
  LaneTasks const work(blocks, pixels_blocks<T>(tile), n.workers);
  std::size_t const keys = scratch_bytes<T>(key_scratch(n));
  std::size_t const softmax = scratch_bytes<T>(statistics_scratch<T>(n), statistics.workers);
  std::size_t const forward = scratch_bytes<T>(lane_pixels_shared_scratch<T>(n)) +
                              scratch_bytes<T>(lane_pixels_scratch<T>(n, work), work.workers);
  return {keys + (std::max)(softmax, forward),
          keys + scratch_bytes<T>(lane_pixels_gradient_scratch<T>(n, work.blocks, (std::min)(n.workers, n.heads)))};
}

} // namespace dchag::ops::detail
