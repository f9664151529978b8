// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/kokkos.hpp>

#include <cstdint>

namespace dchag {

/// a / b, rounded up.
KOKKOS_INLINE_FUNCTION std::size_t ceil_div(std::size_t a, std::size_t b) {
  return (a + b - 1) / b;
}

} // namespace dchag

namespace dchag::math {

template <class T>
KOKKOS_INLINE_FUNCTION T max(T a, T b) {
  return a < b ? b : a;
}
template <class T>
KOKKOS_INLINE_FUNCTION T min(T a, T b) {
  return b < a ? b : a;
}

/// exp without branches or calls, so that loops over it vectorise (the C library's does not): 1.5 ulp, results below
/// the smallest normal number are that number, results above 2.4e38 are that number, NaN stays NaN. Source: Cephes
/// expf (Moshier 1992).
KOKKOS_INLINE_FUNCTION float exp(float x) {
  x = min(max(x, -87.33654f), 88.37626f);
  constexpr float shift = 12582912.f; // 1.5 * 2^23: adding it rounds to an integer, kept in the low bits
  float const shifted = x * 1.44269504f + shift;
  float const n = shifted - shift;
  float const r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.f;
  std::uint32_t const exponent = math::bit_cast<std::uint32_t>(shifted) - math::bit_cast<std::uint32_t>(shift) + 127u;
  return p * math::bit_cast<float>(exponent << 23);
}
KOKKOS_INLINE_FUNCTION double exp(double x) {
  return library::exp(x);
}

/// Error function, again without branches in float: a rational approximation, absolute error below 4e-7.
/// Source: the coefficients of Eigen and XLA.
KOKKOS_INLINE_FUNCTION float erf(float x) {
  x = min(max(x, -4.f), 4.f);
  float const y = x * x;
  float a = -2.72614225801306e-10f;
  a = a * y + 2.77068142495902e-08f;
  a = a * y - 2.10102402082508e-06f;
  a = a * y - 5.69250639462346e-05f;
  a = a * y - 7.34990630326855e-04f;
  a = a * y - 2.95459980854025e-03f;
  a = a * y - 1.60960333262415e-02f;
  float b = -1.45660718464996e-05f;
  b = b * y - 2.13374055278905e-04f;
  b = b * y - 1.68282697438203e-03f;
  b = b * y - 7.37332916720468e-03f;
  b = b * y - 1.42647390514189e-02f;
  return x * a / b;
}
KOKKOS_INLINE_FUNCTION double erf(double x) {
  return library::erf(x);
}

} // namespace dchag::math
