// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// \file
/// The fused sum in any execution space: patches and weights of a chunk of channels side by side in the workspace, and
/// one product a chunk.

#include <dchag/ops/detail/sum_parts.hpp>
#include <dchag/ops/gemm.hpp>
#include <dchag/ops/patches.hpp>

#include <algorithm>
#include <cstdint>

namespace dchag::ops::detail {

/// Numbers that the chunks may hold, about: large enough for products at full speed, small beside a device's memory.
inline constexpr std::size_t sum_chunk_numbers = std::size_t(1) << 24;

/// How many channels and positions are worked on at a time.
struct SumChunks {
  std::size_t channels, positions;

  /// `copies`: of a channel's weights (D, s).
  SumChunks(std::size_t numbers, std::size_t N, std::size_t C, std::size_t s, std::size_t D, std::size_t copies)
      : channels(0), positions(std::clamp<std::size_t>(numbers / (2 * s), 1, std::max<std::size_t>(N, 1))) {
    channels = std::clamp<std::size_t>(numbers / (s * (positions + copies * D)), 1, std::max<std::size_t>(C, 1));
  }
};

/// Where entry `index` of rows of (channel, s) is found. 32 bits suffice, and divide faster than 64 on a device.
struct PixelIndex {
  std::size_t channel, pixel, row, column;

  KOKKOS_FUNCTION PixelIndex(std::size_t index, std::size_t patch) {
    auto const p = static_cast<std::uint32_t>(patch);
    auto const all = static_cast<std::uint32_t>(index);
    std::uint32_t const own = all % (p * p);
    channel = all / (p * p);
    pixel = own;
    row = own / p;
    column = own % p;
  }
};

/// out[n, (i, k)] = pixel k of the patch of token first + i at position begin + n.
///
/// Shapes: out (positions, channels * s).
template <class ExecutionSpace, class Source, class Out>
void gather_patch_rows(ExecutionSpace const& exec, Source const& patches, std::size_t first, std::size_t begin,
                       Out const& out) {
  using T = typename Out::value_type;
  using Worker = Team<ExecutionSpace>;
  std::size_t const columns = out.extent(1);
  for_each_team(
      exec, "dchag::ops::fused_sum_gather", out.extent(0), KOKKOS_LAMBDA(Worker const& team, std::size_t n) {
        auto const at = patches.origin(begin + n);
        team.for_each(columns, [&](std::size_t column) {
          PixelIndex const index(column, patches.patch);
          out(n, column) = static_cast<T>(patches.image(at.sample, patches.plane(first + index.channel),
                                                        at.row + index.row, at.column + index.column));
        });
      });
}

/// The adjoint: the pixels that were read get in[n, (i, k)].
template <class ExecutionSpace, class In, class Source>
void scatter_patch_rows(ExecutionSpace const& exec, In const& in, std::size_t first, std::size_t begin,
                        Source const& patches) {
  using Worker = Team<ExecutionSpace>;
  using Pixel = typename Source::value_type;
  std::size_t const columns = in.extent(1);
  for_each_team(
      exec, "dchag::ops::fused_sum_scatter", in.extent(0), KOKKOS_LAMBDA(Worker const& team, std::size_t n) {
        auto const at = patches.origin(begin + n);
        team.for_each(columns, [&](std::size_t column) {
          PixelIndex const index(column, patches.patch);
          patches.image(at.sample, patches.plane(first + index.channel), at.row + index.row, at.column + index.column) =
              static_cast<Pixel>(in(n, column));
        });
      });
}

/// out[j, (i, k)] = w[members[first + i]] E[channels[first + i], j, k]: rows stay rows, so that both sides are read and
/// written in order.
///
/// Shapes: out (D, channels * s).
template <class ExecutionSpace, class T, class W, class Index>
void fold_weights(ExecutionSpace const& exec, PatchEmbedding<ExecutionSpace, T> const& embedding, W const& w,
                  Index const& members, std::size_t first, Tensor<ExecutionSpace, T, 2> const& out) {
  using Worker = Team<ExecutionSpace>;
  std::size_t const s = embedding.pixels();
  std::size_t const channels = out.extent(1) / s;
  for_each_team(
      exec, "dchag::ops::fused_sum_fold", out.extent(0) * channels,
      KOKKOS_LAMBDA(Worker const& team, std::size_t task) {
        std::size_t const j = task / channels;
        std::size_t const i = task % channels;
        std::size_t const from = embedding.channels(first + i);
        T const weight = w(members(first + i));
        team.for_each(s, [&](std::size_t k) { out(j, i * s + k) = weight * embedding.weight(from, j, k); });
      });
}

/// Features whose gradients one team distributes: enough numbers to occupy it.
inline std::size_t features_of_team(std::size_t s, std::size_t D) {
  return std::clamp<std::size_t>(4096 / s, 1, std::max<std::size_t>(D, 1));
}

/// Adds what T[i] = sum over n of d_y[n] patch[n, i]^T, here product[j, (i, k)], and its row sums give to the gradients
/// of the embedding, and writes partial[first + i, part] of the gradient of w.
template <class ExecutionSpace, class T, class W, class Index>
void distribute_products(ExecutionSpace const& exec, Tensor<ExecutionSpace, T, 2> const& product,
                         Tensor<ExecutionSpace, double, 1> const& totals,
                         PatchEmbedding<ExecutionSpace, T> const& embedding, W const& w, Index const& members,
                         std::size_t first, PatchEmbedding<ExecutionSpace, T> const& d_embedding,
                         Tensor<ExecutionSpace, double, 2> const& partial) {
  using Worker = Team<ExecutionSpace>;
  std::size_t const s = embedding.pixels();
  std::size_t const D = embedding.width();
  std::size_t const parts = partial.extent(1);
  std::size_t const features = features_of_team(s, D);
  for_each_team(
      exec, "dchag::ops::fused_sum_distribute", product.extent(1) / s * parts,
      KOKKOS_LAMBDA(Worker const& team, std::size_t task) {
        std::size_t const i = task / parts;
        std::size_t const begin = task % parts * features;
        std::size_t const count = (math::min)(features, D - begin);
        std::size_t const to = embedding.channels(first + i);
        T const weight = w(members(first + i));
        double const of_weight = team.template sum<double>(count * s, [&](std::size_t e) {
          std::size_t const j = begin + e / s;
          std::size_t const k = e % s;
          T const value = product(j, i * s + k);
          d_embedding.weight(to, j, k) += weight * value;
          return static_cast<double>(embedding.weight(to, j, k) * value);
        });
        double const of_offset = team.template sum<double>(count, [&](std::size_t e) {
          std::size_t const j = begin + e;
          T const value = weight * static_cast<T>(totals(j));
          d_embedding.bias(to, j) += value;
          d_embedding.embedding(to, j) += value;
          return static_cast<double>(embedding.bias(to, j) + embedding.embedding(to, j)) * totals(j);
        });
        team.once([&] { partial(first + i, task % parts) = of_weight + of_offset; });
      });
}

/// Shapes and result: `fused_sum_forward`. `numbers`: what the scratch of a chunk is cut to, of one channel at least.
template <class ExecutionSpace, class T, class Source, class W, class Index>
void sum_by_products_forward(Workspace<ExecutionSpace>& workspace, Source const& patches,
                             PatchEmbedding<ExecutionSpace, T> const& embedding, W const& w, W const& beta,
                             Index const& members, Tensor<ExecutionSpace, T, 2> const& y,
                             std::size_t numbers = sum_chunk_numbers) {
  auto const& exec = workspace.exec();
  std::size_t const N = y.extent(0);
  std::size_t const D = y.extent(1);
  std::size_t const C = embedding.tokens();
  std::size_t const s = embedding.pixels();
  if (N == 0 || D == 0) return;
  SumChunks const chunks(numbers, N, C, s, D, 1);
  auto frame = workspace.frame();
  auto const offsets = frame.template take<T, 1>({D});
  auto const patch_numbers = frame.template take<T, 1>({chunks.positions * chunks.channels * s});
  auto const weight_numbers = frame.template take<T, 1>({D * chunks.channels * s});
  using Matrix = Tensor<ExecutionSpace, T, 2>;

  sum_offsets(exec, embedding, w, beta, members, offsets);
  fill_with_offsets(exec, offsets, y);
  for (std::size_t first = 0; first < C; first += chunks.channels) {
    std::size_t const columns = (std::min)(chunks.channels, C - first) * s;
    Matrix const folded(weight_numbers.data(), D, columns);
    fold_weights(exec, embedding, w, members, first, folded);
    for (std::size_t begin = 0; begin < N; begin += chunks.positions) {
      std::size_t const positions = (std::min)(chunks.positions, N - begin);
      Matrix const rows(patch_numbers.data(), positions, columns);
      gather_patch_rows(exec, patches, first, begin, rows);
      gemm(exec, Op::none, Op::transpose, T(1), rows, folded, T(1), Matrix(y.data() + begin * D, positions, D));
    }
  }
}

/// Shapes and result: `fused_sum_backward`.
template <class ExecutionSpace, class T, class Source, class W, class Index, class DW, class DSource>
void sum_by_products_backward(Workspace<ExecutionSpace>& workspace, Source const& patches,
                              PatchEmbedding<ExecutionSpace, T> const& embedding, W const& w, Index const& members,
                              Tensor<ExecutionSpace, T, 2> const& d_y,
                              PatchEmbedding<ExecutionSpace, T> const& d_embedding, DW const& d_w, DW const& d_beta,
                              DSource const& d_patches, std::size_t numbers = sum_chunk_numbers) {
  constexpr bool image_wanted = is_wanted<DSource>;
  auto const& exec = workspace.exec();
  std::size_t const N = d_y.extent(0);
  std::size_t const D = d_y.extent(1);
  std::size_t const C = embedding.tokens();
  std::size_t const s = embedding.pixels();
  if (N == 0 || D == 0) return;
  SumChunks const chunks(numbers, N, C, s, D, image_wanted ? 2 : 1);
  std::size_t const features = features_of_team(s, D);
  auto frame = workspace.frame();
  auto const totals = frame.template take<double, 1>({D});
  auto const partial = frame.template take<double, 2>({C, (D + features - 1) / features});
  auto const patch_numbers = frame.template take<T, 1>({chunks.positions * chunks.channels * s});
  auto const product_numbers = frame.template take<T, 1>({D * chunks.channels * s});
  auto const weight_numbers = frame.template take<T, 1>({image_wanted ? D * chunks.channels * s : 0});
  using Matrix = Tensor<ExecutionSpace, T, 2>;

  column_totals(workspace, d_y, totals);
  for (std::size_t first = 0; first < C; first += chunks.channels) {
    std::size_t const columns = (std::min)(chunks.channels, C - first) * s;
    Matrix const product(product_numbers.data(), D, columns);
    Matrix const folded(weight_numbers.data(), image_wanted ? D : 0, columns);
    if constexpr (image_wanted) fold_weights(exec, embedding, w, members, first, folded);
    for (std::size_t begin = 0; begin < N; begin += chunks.positions) {
      std::size_t const positions = (std::min)(chunks.positions, N - begin);
      Matrix const rows(patch_numbers.data(), positions, columns);
      Matrix const d_rows(d_y.data() + begin * D, positions, D);
      gather_patch_rows(exec, patches, first, begin, rows);
      gemm(exec, Op::transpose, Op::none, T(1), d_rows, rows, begin == 0 ? T(0) : T(1), product);
      if constexpr (image_wanted) {
        gemm(exec, Op::none, Op::none, T(1), d_rows, folded, T(0), rows); // the patches are no longer needed
        scatter_patch_rows(exec, rows, first, begin, d_patches);
      }
    }
    distribute_products(exec, product, totals, embedding, w, members, first, d_embedding, partial);
  }
  add_weight_gradients(exec, partial, totals, members, d_w, d_beta);
}

} // namespace dchag::ops::detail
