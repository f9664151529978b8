// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// \file
/// What both forms of the fused attention pooling on hosts share. Positions are the lanes of a register: a tile of T
/// positions is T / W blocks of W, and every array of a tile has the block first and the lane last.

#include <dchag/core/workspace.hpp>
#include <dchag/ops/detail/host_tasks.hpp>
#include <dchag/ops/detail/patch_tiles.hpp>
#include <dchag/ops/detail/pooling_lanes_scratch.hpp>
#include <dchag/ops/patches.hpp>
#include <dchag/ops/pooling_weights.hpp>

#include <limits>

namespace dchag::ops::detail {

/// Sizes, inputs, and the keys folded into the pixels: the logit of token c at position n for head h is
/// keys[c, h] . patch(c, n) + key_offsets[c, h]. Copied into tasks.
template <KokkosExecutionSpace ExecutionSpace, Scalar T, class Source>
struct LanePooling {
  static constexpr std::size_t W = lanes<T>;

  ExecutionSpace exec;
  Source patches;
  PoolingWeights<ExecutionSpace, T> weights;
  std::size_t N, C, s, D, h, V, d; // V: features of the output, d of each head
  std::size_t strip;               // features of which tokens are made at a time
  T* keys = nullptr;               // (C, h, s)
  T* key_offsets = nullptr;        // (C, h)
  T* offsets = nullptr;            // (C, D), bias + embedding of each token

  LanePooling(ExecutionSpace const& instance, Source const& source, PoolingWeights<ExecutionSpace, T> const& all)
      : exec(instance), patches(source), weights(all), N(source.count()), C(all.patch_embedding.tokens()),
        s(source.pixels()), D(all.value.extent(1)), h(all.query.extent(0)), V(all.value.extent(0)), d(V / h),
        strip(host_strip(D, workers_of(exec))) {}

  std::size_t blocks() const { return (N + W - 1) / W; }
  LaneSizes sizes() const { return {N, C, s, D, h, V, strip, workers_of(exec)}; }
  /// Positions of a tile that begins at block `block`.
  std::size_t positions(std::size_t block, std::size_t count) const { return (std::min)(N - block * W, count * W); }
  std::size_t channel(std::size_t token) const { return weights.patch_embedding.channels(token); }
  T const* embedding(std::size_t token) const { return weights.patch_embedding.weight.data() + channel(token) * D * s; }

  /// Folds the absorbed query into the patch embeddings: 2 C h s D operations.
  template <class Frame>
  void fold_keys(Frame& frame) {
    auto const numbers = key_scratch(sizes());
    keys = frame.template take<T, 1>({numbers[0]}).data();
    key_offsets = frame.template take<T, 1>({numbers[1]}).data();
    offsets = frame.template take<T, 1>({numbers[2]}).data();
    for_each_task(exec, "dchag::ops::fold_keys", C, [self = *this](std::size_t c, std::size_t) { self.fold_key(c); });
  }

  void fold_key(std::size_t c) const {
    T const* query = weights.query.data();
    auto const& embedding_of = weights.patch_embedding;
    for (std::size_t j = 0; j < D; ++j)
      offsets[c * D + j] = embedding_of.bias(channel(c), j) + embedding_of.embedding(channel(c), j);
    product_of_columns<T>(s, {h, 0, D}, {query, D, 1}, {embedding(c), s, 0}, {keys + c * h * s, s, 0}, Start::zero);
    for (std::size_t head = 0; head < h; ++head) {
      T sum = 0;
      for (std::size_t j = 0; j < D; ++j) sum += query[head * D + j] * offsets[c * D + j];
      key_offsets[c * h + head] = sum;
    }
  }

  /// Logits (count, tokens, h, W) of tokens [begin, end) from their patches (count, tokens, pixels_held, W), of which
  /// the first s of each token are pixels.
  void logits(std::size_t begin, std::size_t end, std::size_t count, T const* pixels, std::size_t pixels_held,
              T* to) const {
    std::size_t const tokens = end - begin;
    for (std::size_t i = 0; i < tokens; ++i)
      product<T>({h, count, s}, {keys + (begin + i) * h * s, s, 1},
                 {pixels + i * pixels_held * W, W, tokens * pixels_held * W}, {to + i * h * W, W, tokens * h * W},
                 Start::zero, key_offsets + (begin + i) * h);
  }

  /// Softmax over the tokens of logits (count, C, h, W), in place; notes maximum and sum of the positions there are.
  void softmax(std::size_t block, std::size_t count, T* logits_, Pooled<ExecutionSpace, T> const& pooled) const {
    for (std::size_t b = 0; b < count; ++b) {
      for (std::size_t head = 0; head < h; ++head) {
        T* const row = logits_ + (b * C * h + head) * W;
        T largest[W], sum[W];
        std::copy_n(row, W, largest);
        for (std::size_t c = 1; c < C; ++c)
          for (std::size_t l = 0; l < W; ++l) largest[l] = (math::max)(largest[l], row[c * h * W + l]);
        std::fill_n(sum, W, T(0));
        for (std::size_t c = 0; c < C; ++c) {
          T* const a = row + c * h * W;
          for (std::size_t l = 0; l < W; ++l) a[l] = math::exp(a[l] - largest[l]);
          for (std::size_t l = 0; l < W; ++l) sum[l] += a[l];
        }
        note(block + b, head, largest, sum, pooled);
        for (std::size_t l = 0; l < W; ++l) sum[l] = T(1) / sum[l];
        for (std::size_t c = 0; c < C; ++c)
          for (std::size_t l = 0; l < W; ++l) row[c * h * W + l] *= sum[l];
      }
    }
  }

  void note(std::size_t block, std::size_t head, T const* largest, T const* sum,
            Pooled<ExecutionSpace, T> const& pooled) const {
    for (std::size_t l = 0; l < positions(block, 1); ++l) {
      pooled.maximum(block * W + l, head) = largest[l];
      pooled.sum(block * W + l, head) = sum[l];
    }
  }

  /// The same from a maximum and sum that are known: logits (count, tokens, h, W) become weights, in place. Lanes
  /// behind the last position get weight 0.
  void attend(std::size_t block, std::size_t count, std::size_t tokens, T* logits_,
              Pooled<ExecutionSpace, T> const& pooled) const {
    for (std::size_t b = 0; b < count; ++b) {
      std::size_t const present = positions(block + b, 1);
      for (std::size_t head = 0; head < h; ++head) {
        T* const row = logits_ + (b * tokens * h + head) * W;
        T largest[W], scaling[W];
        std::fill_n(largest, W, (std::numeric_limits<T>::max)() / 2);
        std::fill_n(scaling, W, T(0));
        for (std::size_t l = 0; l < present; ++l) {
          largest[l] = pooled.maximum((block + b) * W + l, head);
          scaling[l] = T(1) / pooled.sum((block + b) * W + l, head);
        }
        for (std::size_t c = 0; c < tokens; ++c)
          for (std::size_t l = 0; l < W; ++l)
            row[c * h * W + l] = scaling[l] * math::exp(row[c * h * W + l] - largest[l]);
      }
    }
  }

  /// (positions, columns) as blocks of lanes (count, columns, W), zero behind the last position.
  void to_lanes(Tensor<ExecutionSpace, T, 2> const& rows, std::size_t block, std::size_t count, T* to) const {
    std::size_t const columns = rows.extent(1);
    for (std::size_t b = 0; b < count; ++b) {
      std::size_t const present = positions(block + b, 1);
      T* const out = to + b * columns * W;
      if (present < W) std::fill_n(out, columns * W, T(0));
      T const* const in = rows.data() + (block + b) * W * columns;
      for (std::size_t j = 0; j < columns; ++j)
        for (std::size_t l = 0; l < present; ++l) out[j * W + l] = in[l * columns + j];
    }
  }
  void from_lanes(T const* from, std::size_t block, std::size_t count, Tensor<ExecutionSpace, T, 2> const& rows) const {
    std::size_t const columns = rows.extent(1);
    for (std::size_t b = 0; b < count; ++b) {
      T const* const in = from + b * columns * W;
      T* const out = rows.data() + (block + b) * W * columns;
      for (std::size_t l = 0; l < positions(block + b, 1); ++l)
        for (std::size_t j = 0; j < columns; ++j) out[l * columns + j] = in[j * W + l];
    }
  }
};

/// dz = a (da - delta), the gradient of the logits, over the weights a (count, tokens, h, W). Lanes without a position
/// have weight 0. A weight of 1 leaves its logit no gradient: said outright, since da and delta agree but for rounding.
template <class T, class Problem, class Delta>
void logit_gradients(Problem const& problem, std::size_t block, std::size_t count, std::size_t tokens,
                     Delta const& delta, T const* d_weights, T* weights) {
  constexpr std::size_t W = lanes<T>;
  for (std::size_t b = 0; b < count; ++b) {
    for (std::size_t head = 0; head < problem.h; ++head) {
      T own[W] = {};
      for (std::size_t l = 0; l < problem.positions(block + b, 1); ++l) own[l] = delta((block + b) * W + l, head);
      for (std::size_t c = 0; c < tokens; ++c) {
        std::size_t const at = ((b * tokens + c) * problem.h + head) * W;
        for (std::size_t l = 0; l < W; ++l)
          weights[at + l] *= weights[at + l] >= T(1) ? T(0) : d_weights[at + l] - own[l];
      }
    }
  }
}

/// From the gradients of the folded keys, Q (C, h, s) and S (C, h): dE[c] += sum over h of r[h] Q[c, h]^T, the
/// offsets' likewise, and dr[h] = sum over c of E[c] Q[c, h] + offsets[c] S[c, h].
///
/// `scratch`: D h + C h s numbers.
template <class Problem, class T, class Weights>
void unfold_keys(Problem const& problem, T const* d_keys, T const* d_key_offsets, Weights const& d_weights,
                 T* scratch) {
  T* const d_query = scratch;                            // (D, h)
  T* const transposed = scratch + problem.D * problem.h; // (C, s, h)
  for_each_task(problem.exec, "dchag::ops::unfold_keys", problem.C, [=](std::size_t c, std::size_t) {
    auto const& p = problem;
    std::size_t const channel = p.channel(c);
    T const* const query = p.weights.query.data();
    T const* const d_key = d_keys + c * p.h * p.s;
    product_of_columns<T>(p.s, {p.D, 0, p.h}, {query, 1, p.D}, {d_key, p.s, 0},
                          {d_weights.patch_embedding.weight.data() + channel * p.D * p.s, p.s, 0}, Start::result);
    for (std::size_t head = 0; head < p.h; ++head) {
      T const factor = d_key_offsets[c * p.h + head];
      for (std::size_t j = 0; j < p.D; ++j) {
        d_weights.patch_embedding.bias(channel, j) += factor * query[head * p.D + j];
        d_weights.patch_embedding.embedding(channel, j) += factor * query[head * p.D + j];
      }
      for (std::size_t k = 0; k < p.s; ++k) transposed[(c * p.s + k) * p.h + head] = d_key[head * p.s + k];
    }
  });
  constexpr std::size_t strip = 48;
  for_each_task(problem.exec, "dchag::ops::unfold_query", (problem.D + strip - 1) / strip,
                [=](std::size_t task, std::size_t) {
                  auto const& p = problem;
                  std::size_t const begin = task * strip;
                  std::size_t const rows = (std::min)(strip, p.D - begin);
                  Blocks<T> const sum{d_query + begin * p.h, p.h, 0};
                  product_of_columns<T>(p.h, {rows, 0, p.C}, {p.offsets + begin, 1, p.D}, {d_key_offsets, p.h, 0}, sum,
                                        Start::zero);
                  for (std::size_t c = 0; c < p.C; ++c)
                    product_of_columns<T>(p.h, {rows, 0, p.s}, {p.embedding(c) + begin * p.s, p.s, 1},
                                          {transposed + c * p.s * p.h, p.h, 0}, sum, Start::result);
                  for (std::size_t j = begin; j < begin + rows; ++j)
                    for (std::size_t head = 0; head < p.h; ++head) d_weights.query(head, j) = d_query[j * p.h + head];
                });
}

} // namespace dchag::ops::detail
