// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// \file
/// Products on a device: cuBLAS or hipBLAS where the space has one, else a Kokkos kernel that any space can run.

#include <dchag/core/bfloat16.hpp>
#include <dchag/core/error.hpp>
#include <dchag/core/parallel.hpp>
#include <dchag/ops/detail/product.hpp>

#if defined(KOKKOS_ENABLE_CUDA)
#include <cublas_v2.h>
#endif
#if defined(KOKKOS_ENABLE_HIP)
#include <hipblas/hipblas.h>
#endif

namespace dchag::ops::detail {

template <class T>
KOKKOS_FUNCTION T element(Matrices<T const> const& matrices, Op op, std::size_t matrix, std::size_t row,
                          std::size_t column) {
  return op == Op::none ? matrices.matrix(matrix)[row * matrices.row_stride + column]
                        : matrices.matrix(matrix)[column * matrices.row_stride + row];
}

/// One team a row of C, one thread an element. Right everywhere, fast nowhere: for spaces without a vendor library.
template <class T, class In, class Out, class ExecutionSpace>
void gemm_kernel(ExecutionSpace const& exec, Product<T, In, Out> const& product) {
  using Worker = Team<ExecutionSpace>;
  for_each_team(
      exec, "dchag::ops::gemm", product.batch * product.m, KOKKOS_LAMBDA(Worker const& team, std::size_t task) {
        std::size_t const matrix = task / product.m;
        std::size_t const row = task % product.m;
        Out* c = product.c.matrix(matrix) + row * product.c.row_stride;
        team.for_each(product.n, [&](std::size_t column) {
          T sum = 0;
          for (std::size_t k = 0; k < product.k; ++k)
            sum += static_cast<T>(element(product.a, product.op_a, matrix, row, k)) *
                   static_cast<T>(element(product.b, product.op_b, matrix, k, column));
          T const before = math::equal(product.beta, T(0)) ? T(0) : product.beta * static_cast<T>(c[column]);
          c[column] = static_cast<Out>(product.alpha * sum + before);
        });
      });
}

// The vendors' libraries store by columns: row-major C = A B is their C^T = B^T A^T, so the factors change places.

#if defined(KOKKOS_ENABLE_CUDA)
inline cublasHandle_t cublas_handle() {
  static thread_local cublasHandle_t const handle = [] {
    cublasHandle_t created = nullptr;
    require<Error>(cublasCreate(&created) == CUBLAS_STATUS_SUCCESS, "dchag::ops::gemm: cublasCreate failed");
    Kokkos::push_finalize_hook([created] { cublasDestroy(created); });
    return created;
  }();
  return handle;
}

template <class T>
void gemm_vendor(Kokkos::Cuda const& exec, Product<T> const& p) {
  auto const size = [](std::size_t x) { return static_cast<int>(x); };
  auto const letter = [](Op op) { return op == Op::none ? CUBLAS_OP_N : CUBLAS_OP_T; };
  auto const stride = [](std::size_t x) { return static_cast<long long>(x); };
  cublasSetStream(cublas_handle(), exec.cuda_stream());
  auto const call = [&](auto gemm) {
    return gemm(cublas_handle(), letter(p.op_b), letter(p.op_a), size(p.n), size(p.m), size(p.k), &p.alpha, p.b.data,
                size(p.b.row_stride), stride(p.b.matrix_stride), p.a.data, size(p.a.row_stride),
                stride(p.a.matrix_stride), &p.beta, p.c.data, size(p.c.row_stride), stride(p.c.matrix_stride),
                size(p.batch));
  };
  cublasStatus_t status;
  if constexpr (std::is_same_v<T, float>)
    status = call(cublasSgemmStridedBatched);
  else
    status = call(cublasDgemmStridedBatched);
  require<Error>(status == CUBLAS_STATUS_SUCCESS, "dchag::ops::gemm: cuBLAS status ", static_cast<int>(status));
}

template <class Out>
void gemm_vendor(Kokkos::Cuda const& exec, Product<float, bfloat16, Out> const& p) {
  auto const size = [](std::size_t x) { return static_cast<int>(x); };
  auto const letter = [](Op op) { return op == Op::none ? CUBLAS_OP_N : CUBLAS_OP_T; };
  auto const stride = [](std::size_t x) { return static_cast<long long>(x); };
  cublasSetStream(cublas_handle(), exec.cuda_stream());
  auto const status = cublasGemmStridedBatchedEx(
      cublas_handle(), letter(p.op_b), letter(p.op_a), size(p.n), size(p.m), size(p.k), &p.alpha, p.b.data, CUDA_R_16BF,
      size(p.b.row_stride), stride(p.b.matrix_stride), p.a.data, CUDA_R_16BF, size(p.a.row_stride),
      stride(p.a.matrix_stride), &p.beta, p.c.data, std::is_same_v<Out, float> ? CUDA_R_32F : CUDA_R_16BF,
      size(p.c.row_stride), stride(p.c.matrix_stride), size(p.batch), CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
  require<Error>(status == CUBLAS_STATUS_SUCCESS, "dchag::ops::gemm: cuBLAS status ", static_cast<int>(status));
}
#endif

#if defined(KOKKOS_ENABLE_HIP)
inline hipblasHandle_t hipblas_handle() {
  static thread_local hipblasHandle_t const handle = [] {
    hipblasHandle_t created = nullptr;
    require<Error>(hipblasCreate(&created) == HIPBLAS_STATUS_SUCCESS, "dchag::ops::gemm: hipblasCreate failed");
    Kokkos::push_finalize_hook([created] { static_cast<void>(hipblasDestroy(created)); });
    return created;
  }();
  return handle;
}

template <class HipSpace, class T>
void gemm_vendor(HipSpace const& exec, Product<T> const& p) {
  auto const size = [](std::size_t x) { return static_cast<int>(x); };
  auto const letter = [](Op op) { return op == Op::none ? HIPBLAS_OP_N : HIPBLAS_OP_T; };
  auto const stride = [](std::size_t x) { return static_cast<long long>(x); };
  static_cast<void>(hipblasSetStream(hipblas_handle(), exec.hip_stream()));
  auto const call = [&](auto gemm) {
    return gemm(hipblas_handle(), letter(p.op_b), letter(p.op_a), size(p.n), size(p.m), size(p.k), &p.alpha, p.b.data,
                size(p.b.row_stride), stride(p.b.matrix_stride), p.a.data, size(p.a.row_stride),
                stride(p.a.matrix_stride), &p.beta, p.c.data, size(p.c.row_stride), stride(p.c.matrix_stride),
                size(p.batch));
  };
  hipblasStatus_t status;
  if constexpr (std::is_same_v<T, float>)
    status = call(hipblasSgemmStridedBatched);
  else
    status = call(hipblasDgemmStridedBatched);
  require<Error>(status == HIPBLAS_STATUS_SUCCESS, "dchag::ops::gemm: hipBLAS status ", static_cast<int>(status));
}

template <class HipSpace, class Out>
void gemm_vendor(HipSpace const& exec, Product<float, bfloat16, Out> const& p) {
#if hipblasVersionMajor >= 3 || defined(HIPBLAS_V2) // from then on HIP's own names of types
  constexpr auto stored = HIP_R_16BF;
  constexpr auto whole = HIP_R_32F;
  constexpr auto summed = HIPBLAS_COMPUTE_32F;
#else
  constexpr auto stored = HIPBLAS_R_16B;
  constexpr auto whole = HIPBLAS_R_32F;
  constexpr auto summed = HIPBLAS_R_32F;
#endif
  auto const size = [](std::size_t x) { return static_cast<int>(x); };
  auto const letter = [](Op op) { return op == Op::none ? HIPBLAS_OP_N : HIPBLAS_OP_T; };
  auto const stride = [](std::size_t x) { return static_cast<long long>(x); };
  static_cast<void>(hipblasSetStream(hipblas_handle(), exec.hip_stream()));
  auto const status = hipblasGemmStridedBatchedEx(
      hipblas_handle(), letter(p.op_b), letter(p.op_a), size(p.n), size(p.m), size(p.k), &p.alpha, p.b.data, stored,
      size(p.b.row_stride), stride(p.b.matrix_stride), p.a.data, stored, size(p.a.row_stride),
      stride(p.a.matrix_stride), &p.beta, p.c.data, std::is_same_v<Out, float> ? whole : stored, size(p.c.row_stride),
      stride(p.c.matrix_stride), size(p.batch), summed, HIPBLAS_GEMM_DEFAULT);
  require<Error>(status == HIPBLAS_STATUS_SUCCESS, "dchag::ops::gemm: hipBLAS status ", static_cast<int>(status));
}
#endif

template <class T, class In, class Out, class ExecutionSpace>
void gemm_device(ExecutionSpace const& exec, Product<T, In, Out> const& product) {
  if (product.k == 0) return gemm_kernel(exec, product); // the vendors refuse row strides of 0
#if defined(KOKKOS_ENABLE_CUDA)
  if constexpr (std::is_same_v<ExecutionSpace, Kokkos::Cuda>) return gemm_vendor(exec, product);
#endif
#if defined(KOKKOS_ENABLE_HIP)
#if KOKKOS_VERSION < 40000
  using Hip = Kokkos::Experimental::HIP;
#else
  using Hip = Kokkos::HIP;
#endif
  if constexpr (std::is_same_v<ExecutionSpace, Hip>) return gemm_vendor(exec, product);
#endif
  gemm_kernel(exec, product);
}

} // namespace dchag::ops::detail
