// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// \file
/// The fused sum on a host: tiles of patches in a worker's scratch, products in registers, weights read where they lie.
/// Each number of a result belongs to one task, so that it does not depend on who runs it; only the gradient of w is
/// put together from doubles of several tasks, in their order. Images come by their strides (`by_strides`).

#include <dchag/core/compiled.hpp>
#include <dchag/ops/detail/patch_tiles.hpp>
#include <dchag/ops/detail/sum_parts.hpp>

namespace dchag::ops::detail {

/// Calls task(index, worker) for the tasks [0, count): each worker takes a contiguous share.
template <class ExecutionSpace, class F>
void for_each_task_in_runs(ExecutionSpace const& exec, char const* label, std::size_t workers, std::size_t count,
                           F const& task) {
  using Policy = Kokkos::RangePolicy<ExecutionSpace, Kokkos::Schedule<Kokkos::Static>, Kokkos::IndexType<std::size_t>>;
  Kokkos::parallel_for(label, Policy(exec, 0, workers), [=](std::size_t worker) {
    for (std::size_t i = count * worker / workers; i < count * (worker + 1) / workers; ++i) task(i, worker);
  });
}

/// Into how many parts of how many features the width D is cut, so that each worker has two tasks. No part has fewer
/// than 96: each gathers the patches again. D is at least 1; of no channels there is no task.
struct FeatureParts {
  std::size_t parts, features;

  FeatureParts(std::size_t D, std::size_t tasks, std::size_t workers) {
    std::size_t const wanted = workers == 1 ? 1 : ceil_div(2 * workers, std::max<std::size_t>(1, tasks));
    features = ceil_div(D, std::clamp<std::size_t>(wanted, 1, ceil_div(D, 96)));
    parts = ceil_div(D, features);
  }
};

/// What a task of the forward pass works on: a tile of positions, in chunks of channels, and a part of the features.
template <class T>
struct ForwardTiles {
  static constexpr std::size_t inner_extent = 512 / sizeof(T); // of a chunk, about: its numbers stay in a core's cache

  std::size_t positions, tiles, channels;
  FeatureParts parts;

  ForwardTiles(std::size_t N, std::size_t C, std::size_t s, std::size_t D, std::size_t workers)
      : positions(positions_of_tile(N, workers)), tiles(ceil_div(N, positions)),
        channels(std::clamp<std::size_t>(inner_extent / s, 1, std::max<std::size_t>(1, C))), parts(D, tiles, workers) {}

private:
  // Each tile reads all weights once more. The fewest are what fills the registers of one product.
  static std::size_t positions_of_tile(std::size_t N, std::size_t workers) {
    std::size_t count = 256;
    while (count > 64 && N < 2 * workers * count) count /= 2;
    return count;
  }
};

/// What each worker takes, in numbers: patches, sums.
template <class T>
std::array<std::size_t, 2> sum_scratch(ForwardTiles<T> const& tiles, std::size_t s) {
  return {tiles.positions * tiles.channels * s, tiles.positions * tiles.parts.features};
}

/// out[n, j] = in (block of positions, j, lanes).
template <class T>
void store_lanes(std::size_t positions, std::size_t features, T const* in, T* out, std::size_t row) {
  constexpr std::size_t L = lanes<T>;
  for (std::size_t first = 0; first < positions; first += L, in += features * L) {
    std::size_t const used = (std::min)(L, positions - first);
    for (std::size_t begin = 0; begin < features; begin += L) { // squares: both sides stay in the first-level cache
      std::size_t const end = (std::min)(features, begin + L);
      for (std::size_t lane = 0; lane < used; ++lane)
        for (std::size_t j = begin; j < end; ++j) out[(first + lane) * row + j] = in[j * L + lane];
    }
  }
}

/// Shapes and result: `fused_sum_forward`.
template <class ExecutionSpace, class T, class Source, class W, class Index>
void sum_on_host_forward(Workspace<ExecutionSpace>& workspace, Source const& patches,
                         PatchEmbedding<ExecutionSpace, T> const& embedding, W const& w, W const& beta,
                         Index const& members, Tensor<ExecutionSpace, T, 2> const& y, std::size_t workers) {
  constexpr std::size_t L = lanes<T>;
  std::size_t const N = y.extent(0);
  std::size_t const D = y.extent(1);
  std::size_t const C = embedding.tokens();
  std::size_t const s = embedding.pixels();
  if (N == 0 || D == 0) return;
  auto frame = workspace.frame();
  auto const offsets = frame.template take<T, 1>({D});
  sum_offsets(workspace.exec(), embedding, w, beta, members, offsets);
  if (C == 0) return fill_with_offsets(workspace.exec(), offsets, y);

  ForwardTiles<T> const tiles(N, C, s, D, workers);
  auto const numbers = sum_scratch(tiles, s);
  auto const tile_numbers = frame.template take<T, 2>({workers, numbers[0]});
  auto const sum_numbers = frame.template take<T, 2>({workers, numbers[1]});
  auto const& channels = embedding.channels;
  auto const task = [=](std::size_t index, std::size_t worker) {
    std::size_t const position = index / tiles.parts.parts * tiles.positions;
    std::size_t const positions = (std::min)(tiles.positions, N - position);
    std::size_t const feature = index % tiles.parts.parts * tiles.parts.features;
    std::size_t const features = (std::min)(tiles.parts.features, D - feature);
    std::size_t const blocks = ceil_div(positions, L);
    T* const tile = &tile_numbers(worker, 0); // (blocks, channels of the chunk, s, L)
    T* const sum = &sum_numbers(worker, 0);   // (blocks, features, L)
    T factors[ForwardTiles<T>::inner_extent];
    for (std::size_t first = 0; first < C; first += tiles.channels) {
      std::size_t const last = (std::min)(C, first + tiles.channels);
      for (std::size_t i = first; i < last; ++i) factors[i - first] = w(members(i));
      gather_lanes(patches, first, last, position, positions, tile, factors);
      // one product for each run of channels whose weights follow each other
      for (std::size_t begin = first, end = first; begin < last; begin = end) {
        for (++end; end < last && channels(end) == channels(end - 1) + 1;) ++end;
        product<T>({features, blocks, s, end - begin}, {&embedding.weight(channels(begin), feature, 0), s, 1, D * s},
                   {tile + (begin - first) * s * L, L, (last - first) * s * L, s * L}, {sum, L, features * L},
                   begin == 0 ? Start::zero : Start::result, begin == 0 ? &offsets(feature) : nullptr);
      }
    }
    store_lanes(positions, features, sum, &y(position, feature), D);
  };
  for_each_task_in_runs(workspace.exec(), "dchag::ops::fused_sum_forward", workers, tiles.tiles * tiles.parts.parts,
                        task);
}

/// out[j, n] = d_y[n, j]; rows of out are `row` apart.
template <class ExecutionSpace, class DY, class T>
void transpose(ExecutionSpace const& exec, DY const& d_y, T* out, std::size_t row) {
  constexpr std::size_t edge = 16;
  std::size_t const N = d_y.extent(0);
  std::size_t const D = d_y.extent(1);
  auto const strip = [=](std::size_t task) {
    std::size_t const begin = task * edge;
    std::size_t const end = (std::min)(D, begin + edge);
    for (std::size_t first = 0; first < N; first += edge)
      for (std::size_t j = begin; j < end; ++j)
        for (std::size_t n = first; n < (std::min)(N, first + edge); ++n) out[j * row + n] = d_y(n, j);
  };
  using Policy = Kokkos::RangePolicy<ExecutionSpace, Kokkos::IndexType<std::size_t>>;
  Kokkos::parallel_for("dchag::ops::fused_sum_transpose", Policy(exec, 0, ceil_div(D, edge)), strip);
}

/// d_weight += factor * product, and the sum of weight * product. Shapes: (rows, s); rows of product are `row` apart.
template <class T>
double distribute_rows(std::size_t rows, std::size_t s, T factor, T const* product, std::size_t row, T const* weight,
                       T* d_weight) {
  constexpr std::size_t L = lanes<T>;
  constexpr std::size_t rows_of_block = 16; // summed in T
  double total = 0;
  for (std::size_t first = 0; first < rows; first += rows_of_block) {
    VectorOf<T> sum = {};
    T rest = 0;
    for (std::size_t j = first; j < (std::min)(rows, first + rows_of_block); ++j) {
      T const* p = product + j * row;
      T const* e = weight + j * s;
      T* d = d_weight + j * s;
      std::size_t k = 0;
      for (; k + L <= s; k += L) {
        auto const value = load<L>(p + k);
        sum += load<L>(e + k) * value;
        store(d + k, load<L>(d + k) + factor * value);
      }
      for (; k < s; ++k) {
        rest += e[k] * p[k];
        d[k] += factor * p[k];
      }
    }
    total += static_cast<double>(lane_sum<T>(sum)) + static_cast<double>(rest);
  }
  return total;
}

/// What a task of the backward pass works on: a group of channels whose pixels fill four registers side by side, and a
/// part of the features, over all positions in tiles.
template <class T>
struct BackwardTiles {
  static constexpr std::size_t numbers = 32768; // of a tile's patches, about

  std::size_t channels, groups, positions;
  FeatureParts parts;

  BackwardTiles(std::size_t N, std::size_t C, std::size_t s, std::size_t D, std::size_t workers)
      : channels(std::clamp<std::size_t>(4 * lanes<T> / s, 1, std::max<std::size_t>(1, ceil_div(C, workers)))),
        groups(ceil_div(C, channels)),
        positions((std::min)(N, std::clamp<std::size_t>(numbers / (channels * s), 64, 512))),
        parts(D, groups, workers) {}
};

/// What each worker takes, in numbers: patches, products.
template <class T>
std::array<std::size_t, 2> sum_gradient_scratch(BackwardTiles<T> const& tiles, std::size_t s) {
  return {tiles.positions * tiles.channels * s, tiles.parts.features * tiles.channels * s};
}
// Rows one cache line longer than they need be: as powers of two they would all lie in the same sets of a cache.
template <class T>
constexpr std::size_t row_of_columns(std::size_t N) {
  return N + 64 / sizeof(T);
}

/// The most bytes that both passes take without the image's gradient.
template <class T>
PassBytes sum_on_host_bytes(std::size_t N, std::size_t C, std::size_t s, std::size_t D, std::size_t workers) {
  if (N == 0 || D == 0) return {0, 0};
  ForwardTiles<T> const forward(N, C, s, D, workers);
  BackwardTiles<T> const backward(N, C, s, D, workers);
  std::size_t const totals = scratch_bytes(D * sizeof(double));
  std::size_t const partial_totals = scratch_bytes(ceil_div(N, rows_of_partial_total) * D * sizeof(double));
  std::size_t const gradients = scratch_bytes(C * backward.parts.parts * sizeof(double)) +
                                scratch_bytes(D * row_of_columns<T>(N) * sizeof(T)) +
                                scratch_bytes<T>(sum_gradient_scratch(backward, s), workers);
  return {scratch_bytes(D * sizeof(T)) + scratch_bytes<T>(sum_scratch(forward, s), workers),
          totals + (std::max)(partial_totals, gradients)};
}

/// d_patches(i, n, k) = w[members[i]] (E^T d_y[n])[k].
template <class ExecutionSpace, class T, class W, class Index, class DSource>
void image_gradient_on_host(Workspace<ExecutionSpace>& workspace, PatchEmbedding<ExecutionSpace, T> const& embedding,
                            W const& w, Index const& members, Tensor<ExecutionSpace, T, 2> const& d_y,
                            DSource const& d_patches, std::size_t workers) {
  constexpr std::size_t most = 128; // positions of a task
  std::size_t const N = d_y.extent(0);
  std::size_t const D = d_y.extent(1);
  std::size_t const s = embedding.pixels();
  std::size_t const tiles = ceil_div(N, most);
  auto frame = workspace.frame();
  auto const scratch = frame.template take<T, 2>({workers, most * s});
  for_each_task_in_runs(workspace.exec(), "dchag::ops::fused_sum_image_gradient", workers, embedding.tokens() * tiles,
                        [=](std::size_t index, std::size_t worker) {
                          std::size_t const i = index / tiles;
                          std::size_t const position = index % tiles * most;
                          std::size_t const positions = (std::min)(most, N - position);
                          T* const rows = &scratch(worker, 0); // (positions, s)
                          product_of_columns<T>(s, {positions, 0, D}, {&d_y(position, 0), D, 1},
                                                {&embedding.weight(embedding.channels(i), 0, 0), s, 0}, {rows, s, 0},
                                                Start::zero);
                          scatter_rows(d_patches, i, i + 1, position, positions, rows, T(w(members(i))));
                        });
}

/// Shapes and result: `fused_sum_backward`; d_patches have no image where its gradient is not wanted.
template <class ExecutionSpace, class T, class Source, class W, class Index, class DW, class DSource>
void sum_on_host_backward(Workspace<ExecutionSpace>& workspace, Source const& patches,
                          PatchEmbedding<ExecutionSpace, T> const& embedding, W const& w, Index const& members,
                          Tensor<ExecutionSpace, T, 2> const& d_y, PatchEmbedding<ExecutionSpace, T> const& d_embedding,
                          DW const& d_w, DW const& d_beta, DSource const& d_patches, std::size_t workers) {
  auto const& exec = workspace.exec();
  std::size_t const N = d_y.extent(0);
  std::size_t const D = d_y.extent(1);
  std::size_t const C = embedding.tokens();
  std::size_t const s = embedding.pixels();
  if (N == 0 || D == 0) return;
  auto frame = workspace.frame();
  auto const totals = frame.template take<double, 1>({D});
  column_totals(workspace, d_y, totals);
  if (C == 0) return add_weight_gradients(exec, frame.template take<double, 2>({0, 0}), totals, members, d_w, d_beta);

  BackwardTiles<T> const tiles(N, C, s, D, workers);
  auto const partial = frame.template take<double, 2>({C, tiles.parts.parts});
  std::size_t const row = row_of_columns<T>(N);
  auto const d_y_columns = frame.template take<T, 2>({D, row});
  auto const numbers = sum_gradient_scratch(tiles, s);
  auto const tile_numbers = frame.template take<T, 2>({workers, numbers[0]});
  auto const product_numbers = frame.template take<T, 2>({workers, numbers[1]});
  transpose(exec, d_y, d_y_columns.data(), row);
  auto const task = [=](std::size_t index, std::size_t worker) {
    std::size_t const part = index % tiles.parts.parts;
    std::size_t const feature = part * tiles.parts.features;
    std::size_t const features = (std::min)(tiles.parts.features, D - feature);
    std::size_t const first = index / tiles.parts.parts * tiles.channels;
    std::size_t const last = (std::min)(C, first + tiles.channels);
    std::size_t const columns = (last - first) * s;
    T* const tile = &tile_numbers(worker, 0);            // (positions, channels, s)
    T* const all_products = &product_numbers(worker, 0); // (features, channels, s)
    for (std::size_t position = 0; position < N; position += tiles.positions) {
      std::size_t const positions = (std::min)(tiles.positions, N - position);
      gather_rows(patches, first, last, position, positions, tile, s, columns);
      product_of_columns<T>(columns, {features, 0, positions}, {&d_y_columns(feature, position), row, 1},
                            {tile, columns, 0}, {all_products, columns, 0},
                            position == 0 ? Start::zero : Start::result);
    }
    for (std::size_t i = first; i < last; ++i) {
      std::size_t const k = embedding.channels(i);
      T const factor = w(members(i));
      double total = distribute_rows(features, s, factor, all_products + (i - first) * s, columns,
                                     &embedding.weight(k, feature, 0), &d_embedding.weight(k, feature, 0));
      for (std::size_t j = feature; j < feature + features; ++j) {
        T const value = factor * static_cast<T>(totals(j));
        total += static_cast<double>(embedding.bias(k, j) + embedding.embedding(k, j)) * totals(j);
        d_embedding.bias(k, j) += value;
        d_embedding.embedding(k, j) += value;
      }
      partial(i, part) = total;
    }
  };
  for_each_task_in_runs(exec, "dchag::ops::fused_sum_backward", workers, tiles.groups * tiles.parts.parts, task);
  add_weight_gradients(exec, partial, totals, members, d_w, d_beta);
  if (has_image(d_patches)) image_gradient_on_host(workspace, embedding, w, members, d_y, d_patches, workers);
}

#define DCHAG_KERNELS_OF(ExecutionSpace, T)                                                                            \
  DCHAG_KERNEL void sum_on_host_forward(                                                                               \
      Workspace<ExecutionSpace>&, HostPatches<T const> const&, PatchEmbedding<ExecutionSpace, T> const&,               \
      Tensor<ExecutionSpace, T, 1> const&, Tensor<ExecutionSpace, T, 1> const&,                                        \
      Tensor<ExecutionSpace, std::size_t, 1> const&, Tensor<ExecutionSpace, T, 2> const&, std::size_t);                \
  DCHAG_KERNEL void sum_on_host_backward(                                                                              \
      Workspace<ExecutionSpace>&, HostPatches<T const> const&, PatchEmbedding<ExecutionSpace, T> const&,               \
      Tensor<ExecutionSpace, T, 1> const&, Tensor<ExecutionSpace, std::size_t, 1> const&,                              \
      Tensor<ExecutionSpace, T, 2> const&, PatchEmbedding<ExecutionSpace, T> const&,                                   \
      Tensor<ExecutionSpace, T, 1> const&, Tensor<ExecutionSpace, T, 1> const&, HostPatches<T> const&, std::size_t);
DCHAG_COMPILED(DCHAG_KERNELS_OF)
#undef DCHAG_KERNELS_OF

} // namespace dchag::ops::detail
