// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// \file
/// The two products of the fused aggregations on a host, each at nearly the speed of the machine for the shapes that a
/// product library is slow for: inner extents of a patch, rows of a head.
///
/// Numbers lie in blocks of `lanes<T>` consecutive ones, one register full: mostly as many positions. What surrounds a
/// block are rows at a distance of their own, so that nothing needs to be packed.

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace dchag::ops::detail {

#if defined(__AVX512F__)
inline constexpr std::size_t register_bytes = 64, product_blocks = 4, pair_rows = 8; // what 32 registers hold
#else
#if defined(__AVX__)
inline constexpr std::size_t register_bytes = 32;
#else
inline constexpr std::size_t register_bytes = 16;
#endif
inline constexpr std::size_t product_blocks = 2, pair_rows = 4; // what 16 registers hold
#endif
inline constexpr std::size_t product_rows = 6;

/// Numbers in a register, and in a block.
template <class T>
inline constexpr std::size_t lanes = register_bytes / sizeof(T);

/// So many numbers as one: GNU's vectors, which g++ and clang lower to whatever the machine has.
template <class T, std::size_t Count>
struct Vector {
  typedef T type __attribute__((vector_size(Count * sizeof(T))));
};
template <class T>
struct Vector<T, 1> {
  using type = T;
};
template <class T, std::size_t Count = lanes<T>>
using VectorOf = typename Vector<T, Count>::type;

template <std::size_t Count, class T>
inline VectorOf<T, Count> load(T const* from) {
  VectorOf<T, Count> v;
  std::memcpy(&v, from, sizeof v);
  return v;
}
template <class V, class T>
inline void store(T* to, V const& v) {
  std::memcpy(to, &v, sizeof v);
}

/// Keeps a loaded vector in a register: g++ would load it again for each of its uses.
template <class V>
inline void keep_in_register([[maybe_unused]] V& v) {
#if defined(__SSE__) && defined(__GNUC__) && !defined(__clang__)
  if constexpr (sizeof(V) >= 16) asm("" : "+v"(v));
#endif
}

/// Scalars a(segment, i, k), of which each multiplies a whole vector.
template <class T>
struct Scalars {
  T const* data;
  std::size_t row, inner, segment = 0; // distances of i, k, segment
};

/// Blocks of lanes at (segment, row, block).
template <class T>
struct Blocks {
  T* data;
  std::size_t row, block, segment = 0; // distances
};

/// Extents of a product: `rows` x `blocks`, summed over `segments` times `inner`.
struct ProductExtents {
  std::size_t rows, blocks, inner, segments = 1;
};

/// What a product is added to. It is summed by itself first: adding term after term to a large result loses digits.
enum class Start { zero, result };

namespace kernel {

/// c(i, q) = start + sum over segments and k of a(segment, i, k) b(segment, k, q) for R rows and Q blocks.
template <std::size_t R, std::size_t Q, std::size_t L, class T>
void product(ProductExtents const& extents, Scalars<T> const& a, Blocks<T const> const& b, Blocks<T> const& c,
             Start start, T const* offsets) {
  VectorOf<T, L> sum[R][Q];
#pragma GCC unroll 8
  for (std::size_t i = 0; i < R; ++i) {
#pragma GCC unroll 8
    for (std::size_t q = 0; q < Q; ++q) {
      sum[i][q] = VectorOf<T, L>{};
      if (offsets != nullptr) sum[i][q] += offsets[i];
      if (start == Start::result) __builtin_prefetch(c.data + i * c.row + q * c.block, 1); // until it is added to
    }
  }
  for (std::size_t segment = 0; segment < extents.segments; ++segment) {
    T const* scalars = a.data + segment * a.segment;
    T const* vectors = b.data + segment * b.segment;
    for (std::size_t k = 0; k < extents.inner; ++k, scalars += a.inner, vectors += b.row) {
      VectorOf<T, L> factor[Q];
#pragma GCC unroll 8
      for (std::size_t q = 0; q < Q; ++q) {
        factor[q] = load<L>(vectors + q * b.block);
        keep_in_register(factor[q]);
      }
#pragma GCC unroll 8
      for (std::size_t i = 0; i < R; ++i) {
        T const scalar = scalars[i * a.row];
#pragma GCC unroll 8
        for (std::size_t q = 0; q < Q; ++q) sum[i][q] += scalar * factor[q];
      }
    }
  }
#pragma GCC unroll 8
  for (std::size_t i = 0; i < R; ++i)
#pragma GCC unroll 8
    for (std::size_t q = 0; q < Q; ++q) {
      T* const to = c.data + i * c.row + q * c.block;
      if (start == Start::result) sum[i][q] += load<L>(to);
      store(to, sum[i][q]);
    }
}

/// The same for any number of rows.
template <std::size_t Q, std::size_t L, class T>
void product_of_rows(ProductExtents const& extents, Scalars<T> a, Blocks<T const> const& b, Blocks<T> c, Start start,
                     T const* offsets) {
  auto const advance = [&](std::size_t rows) {
    a.data += rows * a.row;
    c.data += rows * c.row;
    if (offsets != nullptr) offsets += rows;
  };
  std::size_t rows = extents.rows;
  for (; rows >= product_rows; rows -= product_rows, advance(product_rows))
    product<product_rows, Q, L, T>(extents, a, b, c, start, offsets);
  if (rows >= 4) {
    product<4, Q, L, T>(extents, a, b, c, start, offsets);
    advance(4);
    rows -= 4;
  }
  if (rows >= 2) {
    product<2, Q, L, T>(extents, a, b, c, start, offsets);
    advance(2);
    rows -= 2;
  }
  if (rows == 1) product<1, Q, L, T>(extents, a, b, c, start, offsets);
}

/// c(i, j) = start + sum over k of a(i, k) b(k, j), in each lane by itself, for R rows and Q columns.
template <std::size_t R, std::size_t Q, class T>
void lane_product(std::size_t inner, T const* a, std::size_t a_row, std::size_t a_inner, T const* b,
                  std::size_t b_inner, std::size_t b_column, T* c, std::size_t c_row, std::size_t c_column,
                  Start start) {
  constexpr std::size_t L = lanes<T>;
  VectorOf<T> sum[R][Q];
#pragma GCC unroll 8
  for (std::size_t i = 0; i < R; ++i)
#pragma GCC unroll 8
    for (std::size_t j = 0; j < Q; ++j) sum[i][j] = VectorOf<T>{};
  for (std::size_t k = 0; k < inner; ++k) {
    VectorOf<T> column[Q];
#pragma GCC unroll 8
    for (std::size_t j = 0; j < Q; ++j) {
      column[j] = load<L>(b + k * b_inner + j * b_column);
      keep_in_register(column[j]);
    }
#pragma GCC unroll 8
    for (std::size_t i = 0; i < R; ++i) {
      auto row = load<L>(a + i * a_row + k * a_inner);
      keep_in_register(row);
#pragma GCC unroll 8
      for (std::size_t j = 0; j < Q; ++j) sum[i][j] += row * column[j];
    }
  }
#pragma GCC unroll 8
  for (std::size_t i = 0; i < R; ++i)
#pragma GCC unroll 8
    for (std::size_t j = 0; j < Q; ++j) {
      T* const to = c + i * c_row + j * c_column;
      if (start == Start::result) sum[i][j] += load<L>(to);
      store(to, sum[i][j]);
    }
}

} // namespace kernel

/// c(i, q) = start + offsets(i) + sum over segments and k of a(segment, i, k) b(segment, k, q), q counting blocks of
/// lanes. No offsets: nullptr.
template <class T>
void product(ProductExtents const& extents, Scalars<T> const& a, Blocks<T const> b, Blocks<T> c, Start start,
             T const* offsets = nullptr) {
  constexpr std::size_t L = lanes<T>;
  auto const advance = [&](std::size_t blocks) {
    b.data += blocks * b.block;
    c.data += blocks * c.block;
  };
  std::size_t blocks = extents.blocks;
  for (; blocks >= product_blocks; blocks -= product_blocks, advance(product_blocks))
    kernel::product_of_rows<product_blocks, L>(extents, a, b, c, start, offsets);
  if constexpr (product_blocks > 2) {
    if (blocks >= 2) {
      kernel::product_of_rows<2, L>(extents, a, b, c, start, offsets);
      advance(2);
      blocks -= 2;
    }
  }
  if (blocks == 1) kernel::product_of_rows<1, L>(extents, a, b, c, start, offsets);
}

/// The same for contiguous rows of any number of columns: what is left over goes through narrower vectors.
template <class T>
void product_of_columns(std::size_t columns, ProductExtents extents, Scalars<T> const& a, Blocks<T const> b,
                        Blocks<T> c, Start start) {
  constexpr std::size_t L = lanes<T>;
  b.block = c.block = L;
  extents.blocks = columns / L;
  product(extents, a, b, c, start);
  std::size_t done = columns / L * L;
  auto const narrower = [&]<std::size_t N>(std::integral_constant<std::size_t, N>) {
    if constexpr (N < L) {
      if (columns - done < N) return;
      kernel::product_of_rows<1, N>(extents, a, Blocks<T const>{b.data + done, b.row, 0, b.segment},
                                    Blocks<T>{c.data + done, c.row, 0}, start, static_cast<T const*>(nullptr));
      done += N;
    }
  };
  narrower(std::integral_constant<std::size_t, 8>());
  narrower(std::integral_constant<std::size_t, 4>());
  narrower(std::integral_constant<std::size_t, 2>());
  narrower(std::integral_constant<std::size_t, 1>());
}

/// A matrix of blocks: element (i, j) is one block of lanes.
template <class T>
struct LaneMatrix {
  T* data;
  std::size_t row, column; // distances
};

/// c(i, j) = start + sum over k of a(i, k) b(k, j) in each lane by itself: as many small products as there are lanes.
template <class T>
void lane_product(std::size_t rows, std::size_t columns, std::size_t inner, LaneMatrix<T const> const& a,
                  LaneMatrix<T const> const& b, LaneMatrix<T> const& c, Start start) {
  auto const block = [&]<std::size_t R, std::size_t Q>(std::integral_constant<std::size_t, R>,
                                                       std::integral_constant<std::size_t, Q>, std::size_t i,
                                                       std::size_t j) {
    kernel::lane_product<R, Q>(inner, a.data + i * a.row, a.row, a.column, b.data + j * b.column, b.row, b.column,
                               c.data + i * c.row + j * c.column, c.row, c.column, start);
  };
  auto const strip = [&]<std::size_t R>(std::integral_constant<std::size_t, R> height, std::size_t i) {
    std::size_t j = 0;
    for (; j + 2 <= columns; j += 2) block(height, std::integral_constant<std::size_t, 2>(), i, j);
    if (j < columns) block(height, std::integral_constant<std::size_t, 1>(), i, j);
  };
  std::size_t i = 0;
  for (; i + pair_rows <= rows; i += pair_rows) strip(std::integral_constant<std::size_t, pair_rows>(), i);
  if constexpr (pair_rows > 4)
    for (; i + 4 <= rows; i += 4) strip(std::integral_constant<std::size_t, 4>(), i);
  for (; i + 2 <= rows; i += 2) strip(std::integral_constant<std::size_t, 2>(), i);
  if (i < rows) strip(std::integral_constant<std::size_t, 1>(), i);
}

/// The sum of the lanes.
template <class T>
T lane_sum(VectorOf<T> const& v) {
  T values[lanes<T>];
  store(values, v);
  for (std::size_t half = lanes<T> / 2; half > 0; half /= 2)
    for (std::size_t i = 0; i < half; ++i) values[i] += values[i + half];
  return values[0];
}

} // namespace dchag::ops::detail
