// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// \file
/// The only home of host products: Eigen, or at configure time oneDNN or a CBLAS.

#include <dchag/core/compiled.hpp>
#include <dchag/core/number.hpp>
#include <dchag/ops/detail/product.hpp>

// g++ 12 takes the undefined lanes of its own AVX-512 intrinsics for a mistake.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <Eigen/Core>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

#include <algorithm>

#if defined(DCHAG_HOST_GEMM_ONEDNN)
#include <dnnl.h>
#elif defined(DCHAG_HOST_GEMM_CBLAS)
#include <cblas.h>
#endif

namespace dchag::ops::detail {

template <class T>
void eigen_gemm(Op op_a, Op op_b, std::size_t m, std::size_t n, std::size_t k, T alpha, T const* a, std::size_t lda,
                T const* b, std::size_t ldb, T beta, T* c, std::size_t ldc) {
  using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using In = Eigen::Map<Matrix const, 0, Eigen::OuterStride<>>;
  using Out = Eigen::Map<Matrix, 0, Eigen::OuterStride<>>;
  auto const index = [](std::size_t x) { return static_cast<Eigen::Index>(x); };
  In const a_stored(a, index(op_a == Op::none ? m : k), index(op_a == Op::none ? k : m),
                    Eigen::OuterStride<>(index(lda)));
  In const b_stored(b, index(op_b == Op::none ? k : n), index(op_b == Op::none ? n : k),
                    Eigen::OuterStride<>(index(ldb)));
  Out out(c, index(m), index(n), Eigen::OuterStride<>(index(ldc)));
  if (math::equal(beta, T(0)))
    out.setZero();
  else if (!math::equal(beta, T(1)))
    out *= beta;
  if (op_a == Op::none && op_b == Op::none)
    out.noalias() += alpha * a_stored * b_stored;
  else if (op_a == Op::none)
    out.noalias() += alpha * a_stored * b_stored.transpose();
  else if (op_b == Op::none)
    out.noalias() += alpha * a_stored.transpose() * b_stored;
  else
    out.noalias() += alpha * a_stored.transpose() * b_stored.transpose();
}

/// c (m, n) = alpha op(a) op(b) + beta c on the calling thread.
template <class T>
void serial_gemm(Op op_a, Op op_b, std::size_t m, std::size_t n, std::size_t k, T alpha, T const* a, std::size_t lda,
                 T const* b, std::size_t ldb, T beta, T* c, std::size_t ldc) {
  if (m == 0 || n == 0) return;
    // Without an inner extent C is only scaled: oneDNN leaves it as it is, and a CBLAS refuses row strides of 0.
#if defined(DCHAG_HOST_GEMM_ONEDNN)
  if constexpr (std::is_same_v<T, float>) {
    auto const size = [](std::size_t x) { return static_cast<dnnl_dim_t>(x); };
    auto const letter = [](Op op) { return op == Op::none ? 'N' : 'T'; };
    if (k > 0) {
      dnnl_sgemm(letter(op_a), letter(op_b), size(m), size(n), size(k), alpha, a, size(lda), b, size(ldb), beta, c,
                 size(ldc));
      return;
    }
  }
#elif defined(DCHAG_HOST_GEMM_CBLAS)
  auto const size = [](std::size_t x) { return static_cast<int>(x); };
  auto const letter = [](Op op) { return op == Op::none ? CblasNoTrans : CblasTrans; };
  if (k > 0) {
    if constexpr (std::is_same_v<T, float>)
      cblas_sgemm(CblasRowMajor, letter(op_a), letter(op_b), size(m), size(n), size(k), alpha, a, size(lda), b,
                  size(ldb), beta, c, size(ldc));
    else
      cblas_dgemm(CblasRowMajor, letter(op_a), letter(op_b), size(m), size(n), size(k), alpha, a, size(lda), b,
                  size(ldb), beta, c, size(ldc));
    return;
  }
#endif
  // Eigen clears C, then reads and writes it: with a short inner extent that takes most of the time, unless it happens
  // to pieces of C that stay in a core's cache. With a long one it costs more to pack op(B) again for each piece.
  constexpr std::size_t short_extent = 128;
  constexpr std::size_t piece_bytes = 512 * 1024;
  constexpr std::size_t unit = 16; // rows: what Eigen's kernel leaves over is slow
  std::size_t const in_cache = piece_bytes / (n * sizeof(T)) / unit * unit;
  std::size_t const rows = k <= short_extent ? (std::max)(4 * unit, in_cache) : m;
  for (std::size_t begin = 0; begin < m; begin += rows)
    eigen_gemm(op_a, op_b, (std::min)(rows, m - begin), n, k, alpha, a + begin * (op_a == Op::none ? lda : 1), lda, b,
               ldb, beta, c + begin * ldc, ldc);
}

/// Spreads the batch, and blocks of rows or columns of each matrix, over the threads of the execution space: several
/// single-threaded products run 1.7 to 2 times faster than one threaded product when the inner extent is small.
template <class T, class ExecutionSpace>
void gemm_host(ExecutionSpace const& exec, Product<T> const& product) {
  constexpr std::size_t smallest_block = 64; // rows: fewer leave the packing of op(B) unpaid
  auto const workers = static_cast<std::size_t>(concurrency(exec));
  std::size_t const wanted = workers == 1 ? 1 : (4 * workers + product.batch - 1) / product.batch;
  bool const by_rows = product.m >= product.n;
  std::size_t const length = by_rows ? product.m : product.n;
  std::size_t const blocks = std::clamp<std::size_t>(wanted, 1, (length + smallest_block - 1) / smallest_block);
  std::size_t const block = (length + blocks - 1) / blocks;
  auto const body = [=](std::size_t task) {
    std::size_t const matrix = task / blocks;
    std::size_t const begin = (std::min)(length, task % blocks * block);
    std::size_t const count = (std::min)(length, begin + block) - begin;
    T const* a = product.a.matrix(matrix);
    T const* b = product.b.matrix(matrix);
    T* c = product.c.matrix(matrix);
    if (by_rows) {
      a += product.op_a == Op::none ? begin * product.a.row_stride : begin;
      c += begin * product.c.row_stride;
    } else {
      b += product.op_b == Op::none ? begin : begin * product.b.row_stride;
      c += begin;
    }
    serial_gemm(product.op_a, product.op_b, by_rows ? count : product.m, by_rows ? product.n : count, product.k,
                product.alpha, a, product.a.row_stride, b, product.b.row_stride, product.beta, c, product.c.row_stride);
  };
  Kokkos::parallel_for(
      "dchag::ops::gemm",
      Kokkos::RangePolicy<ExecutionSpace, Kokkos::Schedule<Kokkos::Dynamic>, Kokkos::IndexType<std::size_t>>(
          exec, 0, product.batch * blocks, Kokkos::ChunkSize(1)),
      body);
}

#define DCHAG_KERNELS_OF(ExecutionSpace, T) DCHAG_KERNEL void gemm_host(ExecutionSpace const&, Product<T> const&);
DCHAG_COMPILED(DCHAG_KERNELS_OF)
#undef DCHAG_KERNELS_OF
#if defined(DCHAG_COMPILED_KERNELS)
DCHAG_KERNEL void serial_gemm(Op, Op, std::size_t, std::size_t, std::size_t, float, float const*, std::size_t,
                              float const*, std::size_t, float, float*, std::size_t);
DCHAG_KERNEL void serial_gemm(Op, Op, std::size_t, std::size_t, std::size_t, double, double const*, std::size_t,
                              double const*, std::size_t, double, double*, std::size_t);
#endif

} // namespace dchag::ops::detail
