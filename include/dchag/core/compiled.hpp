// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// \file
/// Who links `dchag::kernels` does not compile the heavy kernels again: the library holds them for float and double on
/// Kokkos' Serial and OpenMP. A header says behind its templates which of them these are:
///
///     #define DCHAG_KERNELS_OF(ExecutionSpace, T) DCHAG_KERNEL void f(ExecutionSpace const&, T const*);
///     DCHAG_COMPILED(DCHAG_KERNELS_OF)
///     #undef DCHAG_KERNELS_OF
///
/// `DCHAG_KERNEL` declares what is compiled elsewhere; the library's sources turn it into `template`, which compiles
/// it.

#include <dchag/core/kokkos.hpp>

#if !defined(DCHAG_COMPILED_KERNELS) // defined for who links them
#define DCHAG_COMPILED(kernels)
#else
#define DCHAG_KERNEL extern template

#if defined(KOKKOS_ENABLE_SERIAL)
#define DCHAG_COMPILED_SERIAL(kernels) kernels(Kokkos::Serial, float) kernels(Kokkos::Serial, double)
#else
#define DCHAG_COMPILED_SERIAL(kernels)
#endif
#if defined(KOKKOS_ENABLE_OPENMP)
#define DCHAG_COMPILED_OPENMP(kernels) kernels(Kokkos::OpenMP, float) kernels(Kokkos::OpenMP, double)
#else
#define DCHAG_COMPILED_OPENMP(kernels)
#endif
#define DCHAG_COMPILED(kernels) DCHAG_COMPILED_SERIAL(kernels) DCHAG_COMPILED_OPENMP(kernels)

namespace dchag::detail {

/// What must be equal in the library and in who links it: the vector instructions, which decide how numbers lie in a
/// kernel's scratch; the standard library's debug mode; Kokkos and its spaces.
struct KernelFlags {
  int vector_bits;
  bool fma, debug_containers, serial, openmp;
  int kokkos;
};
inline constexpr KernelFlags kernel_flags {
#if defined(__AVX512F__)
  512,
#elif defined(__AVX2__)
  257,
#elif defined(__AVX__)
  256,
#else
  128,
#endif
#if defined(__FMA__)
      true,
#else
      false,
#endif
#if defined(_GLIBCXX_DEBUG)
      true,
#else
      false,
#endif
#if defined(KOKKOS_ENABLE_SERIAL)
      true,
#else
      false,
#endif
#if defined(KOKKOS_ENABLE_OPENMP)
      true,
#else
      false,
#endif
      KOKKOS_VERSION
};

/// Defined by the library for its own flags alone. Where a linker does not find it, the program was compiled with
/// others.
template <KernelFlags flags>
void kernels_were_compiled_with_the_same_flags();
template <>
void kernels_were_compiled_with_the_same_flags<kernel_flags>();
[[gnu::used]] static void (*const same_flags)() = kernels_were_compiled_with_the_same_flags<kernel_flags>;

} // namespace dchag::detail
#endif
