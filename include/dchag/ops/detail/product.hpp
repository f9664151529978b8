// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/concepts.hpp>

namespace dchag::ops {

/// Whether a factor of a product is taken as it is stored or transposed.
enum class Op { none, transpose };

namespace detail {

/// Row-major matrices at equal distances: all that a product needs to know of a View besides its extents.
template <class T>
struct Matrices {
  T* data;
  std::size_t row_stride;
  std::size_t matrix_stride; // 0: one matrix serves the whole batch

  KOKKOS_FUNCTION T* matrix(std::size_t index) const { return data + index * matrix_stride; }
};

/// C[i] = alpha op(A[i]) op(B[i]) + beta C[i] for i < batch, with op(A) of (m, k) and op(B) of (k, n), summed in T.
template <class T, class In = T, class Out = T>
struct Product {
  Op op_a, op_b;
  std::size_t batch, m, n, k;
  T alpha, beta;
  Matrices<In const> a, b;
  Matrices<Out> c;
};

} // namespace detail
} // namespace dchag::ops
