// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// \file
/// The fused attention pooling on hosts with tokens made strip by strip of their features: a strip of 8 tokens at the
/// positions of a tile stays in a core's cache, is used, and forgotten.

#include <dchag/ops/detail/pooling_lanes.hpp>

namespace dchag::ops::detail {

/// The part of a tile's work that one task does on features [begin, begin + size), with its scratch.
template <class T>
struct FeatureStrip {
  static constexpr std::size_t channels = strip_channels;

  std::size_t begin, size;
  T* tokens = nullptr;    // (count, size, channels, W)
  T* sums = nullptr;      // (count, size, h, W)
  T* gradients = nullptr; // the same
};

template <class Problem>
std::size_t strips_of(Problem const& p) {
  return ceil_div(p.D, p.strip);
}
template <class T, class Problem>
FeatureStrip<T> strip_of(Problem const& p, std::size_t index) {
  return {index * p.strip, (std::min)(p.strip, p.D - index * p.strip)};
}

/// x (count, strip, tokens, W) of tokens [begin, end) from their patches (count, C, s, W) at all blocks of the tile.
template <class Problem, class T>
void make_tokens(Problem const& p, FeatureStrip<T> const& strip, std::size_t begin, std::size_t end, std::size_t count,
                 T const* pixels) {
  constexpr std::size_t W = lanes<T>;
  std::size_t const tokens = end - begin;
  for (std::size_t i = 0; i < tokens; ++i)
    product<T>({strip.size, count, p.s}, {p.embedding(begin + i) + strip.begin * p.s, p.s, 1},
               {pixels + (begin + i) * p.s * W, W, p.C * p.s * W},
               {strip.tokens + i * W, tokens * W, strip.size * tokens * W}, Start::zero,
               p.offsets + (begin + i) * p.D + strip.begin);
}

/// m[j, h] += sum over the tokens of x[j, c] a[c, h], at each position by itself.
template <class Problem, class T>
void add_to_sums(Problem const& p, FeatureStrip<T> const& strip, std::size_t begin, std::size_t end, std::size_t count,
                 T const* weights) {
  constexpr std::size_t W = lanes<T>;
  std::size_t const tokens = end - begin;
  for (std::size_t b = 0; b < count; ++b)
    lane_product<T>(strip.size, p.h, tokens, {strip.tokens + b * strip.size * tokens * W, tokens * W, W},
                    {weights + (b * p.C + begin) * p.h * W, p.h * W, W},
                    {strip.sums + b * strip.size * p.h * W, p.h * W, W}, Start::result);
}

template <KokkosExecutionSpace ExecutionSpace, Scalar T, class Source>
void lane_tokens_forward(Workspace<ExecutionSpace>& workspace, std::size_t tile,
                         LanePooling<ExecutionSpace, T, Source> const& problem,
                         Pooled<ExecutionSpace, T> const& pooled) {
  using Strip = FeatureStrip<T>;
  constexpr std::size_t W = lanes<T>;
  auto frame = workspace.frame();
  LaneTasks const work(problem.blocks(), tile / W, workers_of(problem.exec));
  std::size_t const blocks = work.blocks;
  auto const numbers = lane_tokens_scratch<T>(problem.sizes(), work);
  auto const scratch = [&](std::size_t i) { return frame.template take<T, 2>({work.workers, numbers[i]}); };
  auto const all_pixels = scratch(0);
  auto const all_weights = scratch(1);
  auto const all_tokens = scratch(2);
  auto const all_sums = scratch(3);
  auto const all_outputs = scratch(4);
  for_each_task(problem.exec, "dchag::ops::fused_pooling", work.tasks, [=](std::size_t task, std::size_t worker) {
    auto const& p = problem;
    std::size_t const first = task * blocks;
    std::size_t const count = (std::min)(blocks, p.blocks() - first);
    T* const pixels = &all_pixels(worker, 0);   // (count, C, s, W)
    T* const weights = &all_weights(worker, 0); // (count, C, h, W)
    T* const output = &all_outputs(worker, 0);  // (count, V, W)
    gather_lanes(p.patches, 0, p.C, first * W, p.positions(first, count), pixels);
    p.logits(0, p.C, count, pixels, p.s, weights);
    p.softmax(first, count, weights, pooled);
    for (std::size_t index = 0; index < strips_of(p); ++index) {
      auto strip = strip_of<T>(p, index);
      strip.tokens = &all_tokens(worker, 0);
      strip.sums = &all_sums(worker, 0);
      std::fill_n(strip.sums, count * strip.size * p.h * W, T(0));
      for (std::size_t begin = 0; begin < p.C; begin += Strip::channels) {
        std::size_t const end = (std::min)(p.C, begin + Strip::channels);
        make_tokens(p, strip, begin, end, count, pixels);
        add_to_sums(p, strip, begin, end, count, weights);
      }
      // o[h, i] += W_v[h, i, strip] m[strip, h]
      for (std::size_t head = 0; head < p.h; ++head)
        product<T>({p.d, count, strip.size}, {p.weights.value.data() + head * p.d * p.D + strip.begin, p.D, 1},
                   {strip.sums + head * W, p.h * W, strip.size * p.h * W}, {output + head * p.d * W, W, p.V * W},
                   index == 0 ? Start::zero : Start::result);
    }
    p.from_lanes(output, first, count, pooled.o);
  });
}

/// The backward pass takes tile after tile; in each, tasks share the features, so that no two add to the same gradient.
template <KokkosExecutionSpace ExecutionSpace, Scalar T, class Source, class DSource>
class LaneTokensBackward {
  using Strip = FeatureStrip<T>;
  static constexpr std::size_t W = lanes<T>;

public:
  template <class Frame>
  LaneTokensBackward(Frame& frame, std::size_t tile, LanePooling<ExecutionSpace, T, Source> const& problem,
                     Pooled<ExecutionSpace, T> const& pooled, Tensor<ExecutionSpace, T, 2> const& d_o,
                     Tensor<ExecutionSpace, T, 2> const& delta, PoolingWeights<ExecutionSpace, T> const& d_weights,
                     DSource const& d_patches)
      : p(problem), m_pooled(pooled), m_d_o(d_o), m_delta(delta), m_d(d_weights), m_d_patches(d_patches),
        m_blocks(LaneTasks(p.blocks(), tile / W, 1).blocks), m_workers((std::min)(workers_of(p.exec), strips_of(p))) {
    auto const take = [&](std::size_t numbers) { return frame.template take<T, 1>({numbers}).data(); };
    auto const numbers = lane_tokens_gradient_scratch<T>(p.sizes(), m_blocks, m_workers);
    T** const arrays[] = {&m_pixels, &m_rows,      &m_weights, &m_d_output,      &m_d_weights, &m_tokens,
                          &m_sums,   &m_gradients, &m_d_keys,  &m_d_key_offsets, &m_d_value,   &m_d_query};
    static_assert(std::size(arrays) == numbers.size());
    for (std::size_t i = 0; i < numbers.size(); ++i) *arrays[i] = take(numbers[i]);
    if (has_image(m_d_patches)) m_d_pixels = take(m_workers * m_blocks * p.C * p.s * W);
  }

  void run() {
    clear();
    for (std::size_t first = 0; first < p.blocks(); first += m_blocks) {
      m_first = first;
      m_count = (std::min)(m_blocks, p.blocks() - first);
      // Lambdas copy this object, views of the workspace and all: it is small.
      for_each_task(p.exec, "dchag::ops::fused_pooling_weights", m_count,
                    [self = *this](std::size_t b, std::size_t) { self.attend(b); });
      for_each_task(p.exec, "dchag::ops::fused_pooling_features", strips_of(p),
                    [self = *this](std::size_t strip, std::size_t worker) { self.differentiate(strip, worker); });
      for_each_task(p.exec, "dchag::ops::fused_pooling_logits", p.C,
                    [self = *this](std::size_t c, std::size_t) { self.differentiate_logits(c); });
      if (has_image(m_d_patches))
        for_each_task(p.exec, "dchag::ops::fused_pooling_pixels", m_count,
                      [self = *this](std::size_t b, std::size_t) { self.differentiate_pixels(b); });
    }
    for_each_task(p.exec, "dchag::ops::fused_pooling_values", p.V,
                  [self = *this](std::size_t i, std::size_t) { self.add_value_gradient(i); });
    unfold_keys(p, m_d_keys, m_d_key_offsets, m_d, m_d_query);
  }

private:
  void clear() {
    for_each_task(p.exec, "dchag::ops::fused_pooling_clear", p.D, [self = *this](std::size_t j, std::size_t) {
      std::fill_n(self.m_d_value + j * self.p.V, self.p.V, T(0));
    });
    std::fill_n(m_d_keys, p.C * p.h * p.s, T(0));
    std::fill_n(m_d_key_offsets, p.C * p.h, T(0));
  }

  // One block of positions: its patches both ways round, weights, gradient of the output.
  void attend(std::size_t b) const {
    std::size_t const block = m_first + b;
    std::size_t const positions = p.positions(block, 1);
    T* const pixels = m_pixels + b * p.C * p.s * W;
    T* const weights = m_weights + b * p.C * p.h * W;
    gather_lanes(p.patches, 0, p.C, block * W, positions, pixels);
    for (std::size_t c = 0; c < p.C; ++c) { // (C, count W, s)
      T* const rows = m_rows + (c * m_count + b) * W * p.s;
      for (std::size_t l = 0; l < W; ++l)
        for (std::size_t k = 0; k < p.s; ++k) rows[l * p.s + k] = pixels[(c * p.s + k) * W + l];
    }
    p.logits(0, p.C, 1, pixels, p.s, weights);
    p.attend(block, 1, p.C, weights, m_pooled);
    p.to_lanes(m_d_o, block, 1, m_d_output + b * p.V * W);
  }

  // A strip of features at all positions of the tile.
  void differentiate(std::size_t index, std::size_t worker) const {
    auto strip = strip_of<T>(p, index);
    strip.tokens = m_tokens + worker * m_blocks * p.strip * Strip::channels * W;
    strip.sums = m_sums + worker * m_blocks * p.strip * p.h * W;
    strip.gradients = m_gradients + worker * m_blocks * p.strip * p.h * W;
    bool const is_first = index == worker; // of this worker: its partial results begin
    T const* const value = m_value();
    for (std::size_t head = 0; head < p.h; ++head) // dm[j, h] = sum over i of W_v[h, i, j] do[h, i]
      product<T>({strip.size, m_count, p.d}, {value + head * p.d * p.D + strip.begin, 1, p.D},
                 {m_d_output + head * p.d * W, W, p.V * W}, {strip.gradients + head * W, p.h * W, strip.size * p.h * W},
                 Start::zero);
    std::fill_n(strip.sums, m_count * strip.size * p.h * W, T(0));
    for (std::size_t begin = 0; begin < p.C; begin += Strip::channels) {
      std::size_t const end = (std::min)(p.C, begin + Strip::channels);
      make_tokens(p, strip, begin, end, m_count, m_pixels);
      add_to_sums(p, strip, begin, end, m_count, m_weights);
      differentiate_tokens(strip, begin, end, worker, is_first ? Start::zero : Start::result);
    }
    // dW_v[h, i, j] += sum over n of do[h, i] m[j, h], transposed
    std::size_t const positions = p.positions(m_first, m_count);
    std::size_t const whole = positions / W;
    for (std::size_t head = 0; head < p.h; ++head) {
      T const* const d_rows = m_d_o.data() + m_first * W * p.V + head * p.d;
      T* const d_value = m_d_value + strip.begin * p.V + head * p.d;
      T const* const sums = strip.sums + head * W;
      auto const add = [&](std::size_t block, std::size_t inner, std::size_t segments) {
        product_of_columns<T>(p.d, {strip.size, 0, inner, segments},
                              {sums + block * strip.size * p.h * W, p.h * W, 1, strip.size * p.h * W},
                              {d_rows + block * W * p.V, p.V, 0, W * p.V}, {d_value, p.V, 0}, Start::result);
      };
      if (whole > 0) add(0, W, whole);
      if (positions % W > 0) add(whole, positions % W, 1);
    }
  }

  // da, then dx in place of x, and what follows from dx.
  void differentiate_tokens(Strip const& strip, std::size_t begin, std::size_t end, std::size_t worker,
                            Start start) const {
    std::size_t const tokens = end - begin;
    T* const d_weights = m_d_weights + worker * m_blocks * p.C * p.h * W;
    for (std::size_t b = 0; b < m_count; ++b) {
      T* const x = strip.tokens + b * strip.size * tokens * W;
      T const* const gradients = strip.gradients + b * strip.size * p.h * W;
      std::size_t const at = (b * p.C + begin) * p.h * W;
      lane_product<T>(tokens, p.h, strip.size, {x, W, tokens * W}, {gradients, p.h * W, W},
                      {d_weights + at, p.h * W, W}, start);
      lane_product<T>(strip.size, tokens, p.h, {gradients, p.h * W, W}, {m_weights + at, W, p.h * W},
                      {x, tokens * W, W}, Start::zero);
    }
    for (std::size_t i = 0; i < tokens; ++i) {
      std::size_t const c = begin + i;
      std::size_t const channel = p.channel(c);
      T const* const d_x = strip.tokens + i * W;
      T* const d_embedding = m_d.patch_embedding.weight.data() + (channel * p.D + strip.begin) * p.s;
      product_of_columns<T>(p.s, {strip.size, 0, W, m_count}, {d_x, tokens * W, 1, strip.size * tokens * W},
                            {m_rows + c * m_count * W * p.s, p.s, 0, W * p.s}, {d_embedding, p.s, 0}, Start::result);
      for (std::size_t j = 0; j < strip.size; ++j) {
        VectorOf<T> sum{};
        for (std::size_t b = 0; b < m_count; ++b) sum += load<W>(d_x + (b * strip.size + j) * tokens * W);
        T const total = lane_sum<T>(sum);
        m_d.patch_embedding.bias(channel, strip.begin + j) += total;
        m_d.patch_embedding.embedding(channel, strip.begin + j) += total;
      }
      if (has_image(m_d_patches)) // sum over the strip of E[c, j, k] dx[c, j]
        product<T>({p.s, m_count, strip.size}, {p.embedding(c) + strip.begin * p.s, 1, p.s},
                   {d_x, tokens * W, strip.size * tokens * W},
                   {m_d_pixels + worker * m_blocks * p.C * p.s * W + c * p.s * W, W, p.C * p.s * W}, start);
    }
  }

  // dz in place of a, and the gradients of the folded keys.
  void differentiate_logits(std::size_t c) const {
    std::size_t const of_worker = m_blocks * p.C * p.h * W;
    for (std::size_t b = 0; b < m_count; ++b) {
      T* const d_weights = m_d_weights + (b * p.C + c) * p.h * W;
      for (std::size_t worker = 1; worker < m_workers; ++worker)
        for (std::size_t i = 0; i < p.h * W; ++i) d_weights[i] += d_weights[worker * of_worker + i];
      logit_gradients<T>(p, m_first + b, 1, 1, m_delta, d_weights, m_weights + (b * p.C + c) * p.h * W);
    }
    T const* const d_logits = m_weights + c * p.h * W;
    product_of_columns<T>(p.s, {p.h, 0, W, m_count}, {d_logits, W, 1, p.C * p.h * W},
                          {m_rows + c * m_count * W * p.s, p.s, 0, W * p.s}, {m_d_keys + c * p.h * p.s, p.s, 0},
                          Start::result);
    for (std::size_t head = 0; head < p.h; ++head) {
      VectorOf<T> sum{};
      for (std::size_t b = 0; b < m_count; ++b) sum += load<W>(d_logits + (b * p.C * p.h + head) * W);
      m_d_key_offsets[c * p.h + head] += lane_sum<T>(sum);
    }
  }

  // The part of the tokens, and sum over h of dz[h] keys[c, h].
  void differentiate_pixels(std::size_t b) const {
    T* const d_pixels = m_d_pixels + b * p.C * p.s * W;
    std::size_t const of_worker = m_blocks * p.C * p.s * W;
    for (std::size_t worker = 1; worker < m_workers; ++worker)
      for (std::size_t i = 0; i < p.C * p.s * W; ++i) d_pixels[i] += d_pixels[worker * of_worker + i];
    for (std::size_t c = 0; c < p.C; ++c)
      product<T>({p.s, 1, p.h}, {p.keys + c * p.h * p.s, 1, p.s}, {m_weights + (b * p.C + c) * p.h * W, W, 0},
                 {d_pixels + c * p.s * W, W, 0}, Start::result);
    scatter_lanes(m_d_patches, 0, p.C, (m_first + b) * W, p.positions(m_first + b, 1), d_pixels);
  }

  void add_value_gradient(std::size_t i) const {
    for (std::size_t j = 0; j < p.D; ++j) m_d.value(i, j) += m_d_value[j * p.V + i];
  }

  T const* m_value() const { return p.weights.value.data(); }

  LanePooling<ExecutionSpace, T, Source> p;
  Pooled<ExecutionSpace, T> m_pooled;
  Tensor<ExecutionSpace, T, 2> m_d_o, m_delta;
  PoolingWeights<ExecutionSpace, T> m_d;
  DSource m_d_patches;
  std::size_t m_blocks, m_workers;       // of a tile
  std::size_t m_first = 0, m_count = 0;  // blocks of this tile
  T *m_pixels, *m_rows;                  // (count, C, s, W), (C, count W, s)
  T *m_weights, *m_d_output;             // (count, C, h, W), (count, V, W)
  T *m_d_weights, *m_d_pixels = nullptr; // of each worker: (count, C, h, W), (count, C, s, W)
  T *m_tokens, *m_sums, *m_gradients;    // of each worker: strips
  T *m_d_keys, *m_d_key_offsets;         // (C, h, s), (C, h)
  T* m_d_value;                          // (D, V), transposed
  T* m_d_query;                          // scratch of unfold_keys
};

} // namespace dchag::ops::detail
