// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/number.hpp>

namespace dchag {

/// a / b, rounded up.
KOKKOS_INLINE_FUNCTION std::size_t ceil_div(std::size_t a, std::size_t b) {
  return (a + b - 1) / b;
}

} // namespace dchag

namespace dchag::math {

template <class T>
KOKKOS_INLINE_FUNCTION T(max)(T a, T b) {
  return a < b ? b : a;
}
template <class T>
KOKKOS_INLINE_FUNCTION T(min)(T a, T b) {
  return b < a ? b : a;
}

namespace detail {
/// x between two bounds, low < 0 < high. NaN stays NaN, except that under fast flags it becomes some number: see
/// `or_nan`.
KOKKOS_INLINE_FUNCTION float within(float x, float low, float high) {
  if constexpr (!fast_flags) return (min)((max)(x, low), high);
  // Bits of positive numbers ascend as signed integers; those of negative ones, as they fall, as unsigned integers.
  auto const capped = (min)(math::bit_cast<std::int32_t>(x), math::bit_cast<std::int32_t>(high));
  return math::bit_cast<float>((min)(static_cast<std::uint32_t>(capped), math::bit_cast<std::uint32_t>(low)));
}

/// y, which was computed from x; x if that is NaN.
KOKKOS_INLINE_FUNCTION float or_nan(float x, float y) {
  if constexpr (!fast_flags) return y;
  bool const is_number =
      static_cast<std::int32_t>(magnitude_bits(x)) <= static_cast<std::int32_t>(infinity_bits<float>);
  return math::bit_cast<float>(is_number ? math::bit_cast<std::uint32_t>(y) : math::bit_cast<std::uint32_t>(x));
}

/// x = n log 2 + rest, with n an integer and |rest| at most about log 2 / 2.
struct Reduced {
  float rest;
  std::uint32_t exponent; // n + 127: that of 2^n
};

/// For x within [-87.4, 88.4].
KOKKOS_INLINE_FUNCTION Reduced reduce_by_log_2(float x) {
#if defined(__clang__)
#pragma clang fp reassociate(off)
#endif
  constexpr float shift = 12582912.f; // 1.5 * 2^23: adding it rounds to an integer, kept in the low bits
  float const shifted = x * 1.44269504f + shift;
  float const n = shifted - shift;
  float const rest = (x - n * 0.693359375f) + n * 2.12194440e-4f; // log 2 in two parts; n times the first is exact
  return {rest, math::bit_cast<std::uint32_t>(shifted) - math::bit_cast<std::uint32_t>(shift) + 127u};
}

/// The same for compilers that may take floating-point sums apart and cannot be told not to: the sums in which digits
/// cancel are sums of integers.
KOKKOS_INLINE_FUNCTION Reduced reduce_by_log_2_in_integers(float x) {
  auto const exponent = static_cast<std::int32_t>(x * 1.44269504f + 127.49f); // positive: cutting off rounds
  float const n = static_cast<float>(exponent - 127);
  auto const steps = static_cast<std::int32_t>(x * 0x1p24f) - static_cast<std::int32_t>(n * (0.693359375f * 0x1p24f));
  float const large = exponent == 127 ? x : static_cast<float>(steps) * 0x1p-24f;
  return {large + n * 2.12194440e-4f, static_cast<std::uint32_t>(exponent)};
}

KOKKOS_INLINE_FUNCTION Reduced reduce(float x) {
#if defined(__clang__) // is told to keep the order
  return reduce_by_log_2(x);
#else
  return sums_are_reordered ? reduce_by_log_2_in_integers(x) : reduce_by_log_2(x);
#endif
}
} // namespace detail

/// exp without branches or calls, so that loops over it vectorise (the C library's does not): 1.5 ulp, results below
/// the smallest normal number are that number, results above 2.4e38 are that number, NaN stays NaN. Also under
/// -ffast-math. Source: Cephes expf (Moshier 1992).
KOKKOS_INLINE_FUNCTION float exp(float x) {
#if defined(__clang__)
#pragma clang fp reassociate(off)
#endif
  float const inside = detail::within(x, -87.33654f, 88.37626f);
  auto const reduced = detail::reduce(inside);
  float const r = reduced.rest;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.f;
  return detail::or_nan(x, p * math::bit_cast<float>(reduced.exponent << 23));
}
KOKKOS_INLINE_FUNCTION double exp(double x) {
  return library::exp(x);
}

/// Error function, again without branches in float: a rational approximation, absolute error below 4e-7, and 5e-7 where
/// products and sums are not fused or flags allow approximate division.
/// Source: the coefficients of Eigen and XLA.
KOKKOS_INLINE_FUNCTION float erf(float x) {
  float const inside = detail::within(x, -4.f, 4.f);
  float const y = inside * inside;
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
  return detail::or_nan(x, inside * a / b);
}
KOKKOS_INLINE_FUNCTION double erf(double x) {
  return library::erf(x);
}

} // namespace dchag::math
