// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <Kokkos_Core.hpp>
#include <doctest/doctest.h>

namespace dchag::test {

/// What a test is typed over.
template <class Space, class Number>
struct Case {
  using ExecutionSpace = Space;
  using T = Number;
};

/// How large a relative error rounding may leave in this type.
template <class T>
constexpr double tolerance(double in_float, double in_double) {
  return sizeof(T) == sizeof(float) ? in_float : in_double;
}

} // namespace dchag::test

// The enabled spaces, each in both types, each with a comma before it.
#ifdef KOKKOS_ENABLE_SERIAL
#define DCHAG_TEST_SERIAL , dchag::test::Case<Kokkos::Serial, float>, dchag::test::Case<Kokkos::Serial, double>
#else
#define DCHAG_TEST_SERIAL
#endif
#ifdef KOKKOS_ENABLE_OPENMP
#define DCHAG_TEST_OPENMP , dchag::test::Case<Kokkos::OpenMP, float>, dchag::test::Case<Kokkos::OpenMP, double>
#else
#define DCHAG_TEST_OPENMP
#endif
#ifdef KOKKOS_ENABLE_CUDA
#define DCHAG_TEST_CUDA , dchag::test::Case<Kokkos::Cuda, float>, dchag::test::Case<Kokkos::Cuda, double>
#else
#define DCHAG_TEST_CUDA
#endif
#ifdef KOKKOS_ENABLE_HIP
#define DCHAG_TEST_HIP , dchag::test::Case<Kokkos::HIP, float>, dchag::test::Case<Kokkos::HIP, double>
#else
#define DCHAG_TEST_HIP
#endif
#define DCHAG_TEST_LIST(...) DCHAG_TEST_BUT_FIRST(__VA_ARGS__)
#define DCHAG_TEST_BUT_FIRST(nothing, ...) __VA_ARGS__

/// All of them: TEST_CASE_TEMPLATE("a sentence", Case, DCHAG_TEST_CASES) { using T = typename Case::T; ... }
#define DCHAG_TEST_CASES DCHAG_TEST_LIST(DCHAG_TEST_SERIAL DCHAG_TEST_OPENMP DCHAG_TEST_CUDA DCHAG_TEST_HIP)

// What doctest prints behind the sentence.
#ifdef KOKKOS_ENABLE_SERIAL
TYPE_TO_STRING_AS("Serial, float", dchag::test::Case<Kokkos::Serial, float>);
TYPE_TO_STRING_AS("Serial, double", dchag::test::Case<Kokkos::Serial, double>);
#endif
#ifdef KOKKOS_ENABLE_OPENMP
TYPE_TO_STRING_AS("OpenMP, float", dchag::test::Case<Kokkos::OpenMP, float>);
TYPE_TO_STRING_AS("OpenMP, double", dchag::test::Case<Kokkos::OpenMP, double>);
#endif
#ifdef KOKKOS_ENABLE_CUDA
TYPE_TO_STRING_AS("Cuda, float", dchag::test::Case<Kokkos::Cuda, float>);
TYPE_TO_STRING_AS("Cuda, double", dchag::test::Case<Kokkos::Cuda, double>);
#endif
#ifdef KOKKOS_ENABLE_HIP
TYPE_TO_STRING_AS("HIP, float", dchag::test::Case<Kokkos::HIP, float>);
TYPE_TO_STRING_AS("HIP, double", dchag::test::Case<Kokkos::HIP, double>);
#endif
