// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// \file
/// The fused attention pooling on hosts with the values folded into the pixels: no token exists, not even for a moment.
///
/// A constant pixel of 1 behind the s pixels of each patch takes bias and embedding along: s + 1 pixels. A chunk of
/// tokens is then a matrix U (tokens (s + 1), V) = E' W_v^T, one product as large as the machine likes, and
///
///     o[n, h, i] = sum over c, k of U[(c, k), (h, i)] a[n, h, c] patch(c, n, k)

#include <dchag/ops/detail/pooling_kernels.hpp>
#include <dchag/ops/detail/pooling_lanes.hpp>
#include <dchag/ops/gemm.hpp>

namespace dchag::ops::detail {

/// E' (tokens (s + 1), D) of tokens [begin, end).
template <class Problem, class T>
void stack_embeddings(Problem const& problem, std::size_t begin, std::size_t end, T* stacked) {
  for_each_task(problem.exec, "dchag::ops::stack_embeddings", end - begin, [=](std::size_t i, std::size_t) {
    auto const& p = problem;
    T const* const from = p.embedding(begin + i);
    T* const to = stacked + i * (p.s + 1) * p.D;
    for (std::size_t j = 0; j < p.D; ++j)
      for (std::size_t k = 0; k < p.s; ++k) to[k * p.D + j] = from[j * p.s + k];
    std::copy_n(p.offsets + (begin + i) * p.D, p.D, to + p.s * p.D);
  });
}

/// (rows, columns) numbers of a workspace as a matrix.
template <class ExecutionSpace, class T>
Tensor<ExecutionSpace, T, 2> matrix_of(T* data, std::size_t rows, std::size_t columns) {
  return Tensor<ExecutionSpace, T, 2>(data, rows, columns);
}

/// Patches (count, tokens, s + 1, W) of tokens [begin, end), the last pixel 1.
template <class Problem, class T>
void gather_with_constant(Problem const& p, std::size_t begin, std::size_t end, std::size_t block, std::size_t count,
                          T* pixels) {
  constexpr std::size_t W = lanes<T>;
  gather_lanes(p.patches, begin, end, block * W, p.positions(block, count), pixels, static_cast<T const*>(nullptr), 1);
  for (std::size_t i = 0; i < count * (end - begin); ++i) std::fill_n(pixels + (i * (p.s + 1) + p.s) * W, W, T(1));
}

/// scaled (tokens (s + 1), group, W) = a[c, head] patch(c) at `group` blocks of positions from block b on.
template <class Problem, class T>
void scale_patches(Problem const& p, std::size_t tokens, std::size_t b, std::size_t group, std::size_t head,
                   T const* weights, T const* pixels, T* scaled) {
  constexpr std::size_t W = lanes<T>;
  for (std::size_t q = 0; q < group; ++q) {
    for (std::size_t c = 0; c < tokens; ++c) {
      std::size_t const at = (b + q) * tokens + c;
      auto const weight = load<W>(weights + (at * p.h + head) * W);
      T const* const from = pixels + at * (p.s + 1) * W;
      for (std::size_t k = 0; k <= p.s; ++k)
        store(scaled + ((c * (p.s + 1) + k) * group + q) * W, weight * load<W>(from + k * W));
    }
  }
}

/// Maximum and sum of the logits of all positions, chunk by chunk of tokens.
template <KokkosExecutionSpace ExecutionSpace, Scalar T, class Source>
void lane_softmax_statistics(Workspace<ExecutionSpace>& workspace,
                             LanePooling<ExecutionSpace, T, Source> const& problem,
                             Pooled<ExecutionSpace, T> const& pooled) {
  constexpr std::size_t W = lanes<T>;
  constexpr std::size_t group = statistics_group, chunk = statistics_chunk;
  auto frame = workspace.frame();
  LaneTasks const work(problem.blocks(), group, workers_of(problem.exec));
  std::size_t const workers = work.workers;
  auto const numbers = statistics_scratch<T>(problem.sizes());
  auto const all_pixels = frame.template take<T, 2>({workers, numbers[0]});
  auto const all_logits = frame.template take<T, 2>({workers, numbers[1]});
  auto const statistics = frame.template take<T, 3>({workers, 2, numbers[2] / 2});
  for_each_task(problem.exec, "dchag::ops::softmax_statistics", work.tasks, [=](std::size_t task, std::size_t worker) {
    auto const& p = problem;
    std::size_t const first = task * group;
    std::size_t const count = (std::min)(group, p.blocks() - first);
    T* const pixels = &all_pixels(worker, 0);
    T* const logits = &all_logits(worker, 0); // (count, tokens, h, W)
    T* const largest = &statistics(worker, 0, 0);
    T* const sum = &statistics(worker, 1, 0);
    std::fill_n(largest, count * p.h * W, std::numeric_limits<T>::lowest());
    std::fill_n(sum, count * p.h * W, T(0));
    for (std::size_t begin = 0; begin < p.C; begin += chunk) {
      std::size_t const end = (std::min)(p.C, begin + chunk);
      gather_lanes(p.patches, begin, end, first * W, p.positions(first, count), pixels);
      p.logits(begin, end, count, pixels, p.s, logits);
      for (std::size_t i = 0; i < count * p.h; ++i) { // block and head
        T const* const row = logits + (i / p.h * (end - begin) * p.h + i % p.h) * W;
        T top[W];
        std::copy_n(largest + i * W, W, top);
        for (std::size_t c = 0; c < end - begin; ++c)
          for (std::size_t l = 0; l < W; ++l) top[l] = (math::max)(top[l], row[c * p.h * W + l]);
        for (std::size_t l = 0; l < W; ++l) sum[i * W + l] *= math::exp(largest[i * W + l] - top[l]);
        for (std::size_t c = 0; c < end - begin; ++c)
          for (std::size_t l = 0; l < W; ++l) sum[i * W + l] += math::exp(row[c * p.h * W + l] - top[l]);
        std::copy_n(top, W, largest + i * W);
      }
    }
    for (std::size_t b = 0; b < count; ++b)
      for (std::size_t head = 0; head < p.h; ++head)
        p.note(first + b, head, largest + (b * p.h + head) * W, sum + (b * p.h + head) * W, pooled);
  });
}

/// `folded` (C (s + 1), V): U of all tokens, made before, or no data.
template <KokkosExecutionSpace ExecutionSpace, Scalar T, class Source>
void lane_pixels_forward(Workspace<ExecutionSpace>& workspace, std::size_t tile,
                         LanePooling<ExecutionSpace, T, Source> const& problem,
                         Tensor<ExecutionSpace, T, 2> const& folded, Pooled<ExecutionSpace, T> const& pooled) {
  constexpr std::size_t W = lanes<T>;
  constexpr std::size_t group = pixels_group;
  lane_softmax_statistics(workspace, problem, pooled);
  auto frame = workspace.frame();
  std::size_t const C = problem.C, s = problem.s;
  std::size_t const chunk = folded_chunk(C, s);
  LaneTasks const work(problem.blocks(), pixels_blocks<T>(tile), workers_of(problem.exec));
  std::size_t const blocks = work.blocks, tasks = work.tasks;
  auto const shared = lane_pixels_shared_scratch<T>(problem.sizes());
  auto const own = lane_pixels_scratch<T>(problem.sizes(), work);
  auto const take = [&](std::size_t numbers) { return frame.template take<T, 1>({numbers}).data(); };
  bool const make = folded.data() == nullptr;
  T* const stacked = make ? take(shared[0]) : nullptr;
  T* const made = make ? take(shared[1]) : nullptr;
  T* const output = take(shared[2]); // (blocks, V, W)
  auto const scratch = [&](std::size_t numbers) { return frame.template take<T, 2>({work.workers, numbers}); };
  auto const all_pixels = scratch(own[0]);
  auto const all_weights = scratch(own[1]);
  auto const all_scaled = scratch(own[2]);
  for (std::size_t begin = 0; begin < C; begin += chunk) {
    std::size_t const end = (std::min)(C, begin + chunk);
    std::size_t const columns = (end - begin) * (s + 1);
    if (make) {
      stack_embeddings(problem, begin, end, stacked);
      gemm(problem.exec, Op::none, Op::transpose, T(1), matrix_of<ExecutionSpace>(stacked, columns, problem.D),
           problem.weights.value, T(0), matrix_of<ExecutionSpace>(made, columns, problem.V));
    }
    T const* const values = make ? made : folded.data() + begin * (s + 1) * problem.V;
    for_each_task(problem.exec, "dchag::ops::fused_pooling", tasks, [=](std::size_t task, std::size_t worker) {
      auto const& p = problem;
      std::size_t const first = task * blocks;
      std::size_t const count = (std::min)(blocks, p.blocks() - first);
      T* const pixels = &all_pixels(worker, 0);
      T* const weights = &all_weights(worker, 0);
      T* const scaled = &all_scaled(worker, 0);
      gather_with_constant(p, begin, end, first, count, pixels);
      p.logits(begin, end, count, pixels, p.s + 1, weights);
      p.attend(first, count, end - begin, weights, pooled);
      for (std::size_t b = 0; b < count; b += group) {
        std::size_t const together = (std::min)(group, count - b);
        for (std::size_t head = 0; head < p.h; ++head) {
          scale_patches(p, end - begin, b, together, head, weights, pixels, scaled);
          product<T>({p.d, together, columns}, {values + head * p.d, 1, p.V}, {scaled, together * W, W},
                     {output + ((first + b) * p.V + head * p.d) * W, W, p.V * W},
                     begin == 0 ? Start::zero : Start::result);
        }
      }
    });
  }
  for_each_task(problem.exec, "dchag::ops::fused_pooling_output", problem.blocks(),
                [=](std::size_t b, std::size_t) { problem.from_lanes(output + b * problem.V * W, b, 1, pooled.o); });
}

/// The backward pass takes chunk after chunk of the tokens; in each, tasks share the heads, so that no two add to the
/// same gradient.
template <KokkosExecutionSpace ExecutionSpace, Scalar T, class Source, class DSource>
class LanePixelsBackward {
  static constexpr std::size_t W = lanes<T>;
  static constexpr std::size_t group = pixels_group;

public:
  template <class Frame>
  LanePixelsBackward(Frame& frame, std::size_t tile, LanePooling<ExecutionSpace, T, Source> const& problem,
                     Pooled<ExecutionSpace, T> const& pooled, Tensor<ExecutionSpace, T, 2> const& d_o,
                     Tensor<ExecutionSpace, T, 2> const& delta, PoolingWeights<ExecutionSpace, T> const& d_weights,
                     DSource const& d_patches)
      : p(problem), m_pooled(pooled), m_d_o(d_o), m_delta(delta), m_d(d_weights), m_d_patches(d_patches),
        m_chunk(folded_chunk(p.C, p.s)), m_blocks(LaneTasks(p.blocks(), pixels_blocks<T>(tile), 1).blocks),
        m_workers((std::min)(workers_of(p.exec), p.h)) {
    auto const take = [&](std::size_t numbers) { return frame.template take<T, 1>({numbers}).data(); };
    auto const numbers = lane_pixels_gradient_scratch<T>(p.sizes(), m_blocks, m_workers);
    T** const arrays[] = {&m_stacked, &m_values,   &m_d_values, &m_d_output,      &m_pixels,    &m_weights,
                          &m_scaled,  &m_products, &m_d_keys,   &m_d_key_offsets, &m_key_lanes, &m_query_scratch};
    static_assert(std::size(arrays) == numbers.size());
    for (std::size_t i = 0; i < numbers.size(); ++i) *arrays[i] = take(numbers[i]);
    if (has_image(m_d_patches)) m_d_pixels = take(m_workers * m_blocks * m_chunk * p.s * W);
  }

  void run() {
    for_each_task(p.exec, "dchag::ops::fused_pooling_gradient", p.blocks(), [self = *this](std::size_t b, std::size_t) {
      self.p.to_lanes(self.m_d_o, b, 1, self.m_d_output + b * self.p.V * W);
    });
    std::fill_n(m_d_keys, p.C * p.h * p.s, T(0));
    std::fill_n(m_d_key_offsets, p.C * p.h, T(0));
    for (m_begin = 0; m_begin < p.C; m_begin += m_chunk) {
      m_tokens = (std::min)(p.C - m_begin, m_chunk);
      fold();
      for (m_first = 0; m_first < p.blocks(); m_first += m_blocks) {
        m_count = (std::min)(m_blocks, p.blocks() - m_first);
        for_each_task(p.exec, "dchag::ops::fused_pooling_weights", m_count,
                      [self = *this](std::size_t b, std::size_t) { self.attend(b); });
        for_each_task(p.exec, "dchag::ops::fused_pooling_heads", p.h,
                      [self = *this](std::size_t head, std::size_t worker) { self.differentiate(head, worker); });
        if (has_image(m_d_patches))
          for_each_task(p.exec, "dchag::ops::fused_pooling_pixels", m_count,
                        [self = *this](std::size_t b, std::size_t) { self.differentiate_pixels(b); });
      }
      unfold();
    }
    unfold_keys(p, m_d_keys, m_d_key_offsets, m_d, m_query_scratch);
  }

private:
  auto embeddings() const { return matrix_of<ExecutionSpace>(m_stacked, m_tokens * (p.s + 1), p.D); }
  auto outputs(T* data) const { return matrix_of<ExecutionSpace>(data, m_tokens * (p.s + 1), p.V); }

  // U = E' W_v^T
  void fold() const {
    stack_embeddings(p, m_begin, m_begin + m_tokens, m_stacked);
    gemm(p.exec, Op::none, Op::transpose, T(1), embeddings(), p.weights.value, T(0), outputs(m_values));
    clear_rows(p.exec, outputs(m_d_values));
  }

  // dE' = dU W_v, dW_v += dU^T E'
  void unfold() const {
    gemm(p.exec, Op::transpose, Op::none, T(1), outputs(m_d_values), embeddings(), T(1), m_d.value);
    gemm(p.exec, Op::none, Op::none, T(1), outputs(m_d_values), p.weights.value, T(0), embeddings());
    for_each_task(p.exec, "dchag::ops::unstack_embeddings", m_tokens, [self = *this](std::size_t i, std::size_t) {
      auto const& problem = self.p;
      std::size_t const D = problem.D, s = problem.s;
      std::size_t const channel = problem.channel(self.m_begin + i);
      T const* const from = self.m_stacked + i * (s + 1) * D;
      T* const to = self.m_d.patch_embedding.weight.data() + channel * D * s;
      for (std::size_t j = 0; j < D; ++j) {
        for (std::size_t k = 0; k < s; ++k) to[j * s + k] += from[k * D + j];
        self.m_d.patch_embedding.bias(channel, j) += from[s * D + j];
        self.m_d.patch_embedding.embedding(channel, j) += from[s * D + j];
      }
    });
  }

  void attend(std::size_t b) const {
    T* const pixels = m_pixels + b * m_tokens * (p.s + 1) * W;
    T* const weights = m_weights + b * m_tokens * p.h * W;
    gather_with_constant(p, m_begin, m_begin + m_tokens, m_first + b, 1, pixels);
    p.logits(m_begin, m_begin + m_tokens, 1, pixels, p.s + 1, weights);
    p.attend(m_first + b, 1, m_tokens, weights, m_pooled);
  }

  // One head at all positions of the tile.
  void differentiate(std::size_t head, std::size_t worker) const {
    std::size_t const columns = m_tokens * (p.s + 1);
    T* const scaled = m_scaled + worker * group * m_chunk * (p.s + 1) * W;
    for (std::size_t b = 0; b < m_count; b += group) {
      std::size_t const together = (std::min)(group, m_count - b);
      // dU[(c, k), (h, i)] += sum over n of a[n, c] patch(c, n, k) do[n, h, i], before a becomes dz
      scale_patches(p, m_tokens, b, together, head, m_weights, m_pixels, scaled);
      T const* const d_rows = m_d_o.data() + (m_first + b) * W * p.V + head * p.d;
      std::size_t const positions = p.positions(m_first + b, together);
      std::size_t const whole = positions / W;
      auto const add = [&](std::size_t block, std::size_t inner, std::size_t segments) {
        product_of_columns<T>(p.d, {columns, 0, inner, segments}, {scaled + block * W, together * W, 1, W},
                              {d_rows + block * W * p.V, p.V, 0, W * p.V}, {m_d_values + head * p.d, p.V, 0},
                              Start::result);
      };
      if (whole > 0) add(0, W, whole);
      if (positions % W > 0) add(whole, positions % W, 1);
      differentiate_weights(head, worker, b, together);
    }
    add_key_gradients(head, worker);
  }

  // da[c] = sum over k of patch(c, k) sum over i of U[(c, k), (h, i)] do[h, i]; then dz in place of a
  void differentiate_weights(std::size_t head, std::size_t worker, std::size_t b, std::size_t together) const {
    T* const products = m_products + worker * group * (p.s + 1) * W; // (s + 1, together, W)
    T const* const d_output = m_d_output + ((m_first + b) * p.V + head * p.d) * W;
    T delta[group][W] = {};
    for (std::size_t q = 0; q < together; ++q)
      for (std::size_t l = 0; l < p.positions(m_first + b + q, 1); ++l)
        delta[q][l] = m_delta((m_first + b + q) * W + l, head);
    for (std::size_t c = 0; c < m_tokens; ++c) {
      product<T>({p.s + 1, together, p.d}, {m_values + c * (p.s + 1) * p.V + head * p.d, p.V, 1},
                 {d_output, W, p.V * W}, {products, together * W, W}, Start::zero);
      for (std::size_t q = 0; q < together; ++q) {
        std::size_t const at = (b + q) * m_tokens + c;
        T const* const pixels = m_pixels + at * (p.s + 1) * W;
        T* const weight = m_weights + (at * p.h + head) * W;
        auto const a = load<W>(weight);
        if (has_image(m_d_patches))
          for (std::size_t k = 0; k < p.s; ++k) {
            T* const to = m_d_pixels + ((worker * m_blocks * m_chunk + at) * p.s + k) * W;
            bool const is_first = head == worker; // of this worker
            auto const own = a * load<W>(products + (k * together + q) * W);
            store(to, is_first ? own : own + load<W>(to));
          }
        VectorOf<T> d_weight{};
        for (std::size_t k = 0; k <= p.s; ++k)
          d_weight += load<W>(products + (k * together + q) * W) * load<W>(pixels + k * W);
        T d_weights[W];
        store(d_weights, d_weight);
        for (std::size_t l = 0; l < W; ++l) // as `logit_gradients`
          weight[l] *= weight[l] >= T(1) ? T(0) : d_weights[l] - delta[q][l];
      }
    }
  }

  // Q[c, h, k] += sum over n of dz[n, h, c] patch(c, n, k), where the last pixel makes the offset's gradient
  void add_key_gradients(std::size_t head, std::size_t worker) const {
    T* const sums = m_key_lanes + worker * (p.s + 1) * W;
    for (std::size_t c = 0; c < m_tokens; ++c) {
      lane_product<T>(1, p.s + 1, m_count, {m_weights + (c * p.h + head) * W, 0, m_tokens * p.h * W},
                      {m_pixels + c * (p.s + 1) * W, m_tokens * (p.s + 1) * W, W}, {sums, 0, W}, Start::zero);
      std::size_t const key = (m_begin + c) * p.h + head;
      for (std::size_t k = 0; k < p.s; ++k) m_d_keys[key * p.s + k] += lane_sum<T>(load<W>(sums + k * W));
      m_d_key_offsets[key] += lane_sum<T>(load<W>(sums + p.s * W));
    }
  }

  void differentiate_pixels(std::size_t b) const {
    T* const d_pixels = m_d_pixels + b * m_tokens * p.s * W;
    for (std::size_t worker = 1; worker < m_workers; ++worker)
      for (std::size_t i = 0; i < m_tokens * p.s * W; ++i)
        d_pixels[i] += d_pixels[worker * m_blocks * m_chunk * p.s * W + i];
    for (std::size_t c = 0; c < m_tokens; ++c) // sum over h of dz[h] keys[c, h]
      product<T>({p.s, 1, p.h}, {p.keys + (m_begin + c) * p.h * p.s, 1, p.s},
                 {m_weights + (b * m_tokens + c) * p.h * W, W, 0}, {d_pixels + c * p.s * W, W, 0}, Start::result);
    scatter_lanes(m_d_patches, m_begin, m_begin + m_tokens, (m_first + b) * W, p.positions(m_first + b, 1), d_pixels);
  }

  LanePooling<ExecutionSpace, T, Source> p;
  Pooled<ExecutionSpace, T> m_pooled;
  Tensor<ExecutionSpace, T, 2> m_d_o, m_delta;
  PoolingWeights<ExecutionSpace, T> m_d;
  DSource m_d_patches;
  std::size_t m_chunk, m_blocks, m_workers;        // tokens, blocks of positions at a time
  std::size_t m_begin = 0, m_tokens = 0;           // of this chunk
  std::size_t m_first = 0, m_count = 0;            // blocks of this tile
  T *m_stacked, *m_values, *m_d_values;            // (tokens (s + 1), D), then V for D
  T *m_d_output, *m_pixels, *m_weights;            // (blocks, V, W), (count, tokens, s + 1, W), (count, tokens, h, W)
  T *m_scaled, *m_products, *m_key_lanes;          // of each worker
  T* m_d_pixels = nullptr;                         // of each worker: (count, tokens, s, W)
  T *m_d_keys, *m_d_key_offsets, *m_query_scratch; // (C, h, s), (C, h), scratch of unfold_keys
};

} // namespace dchag::ops::detail
