// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/concepts.hpp>

#include <cstdint>

/// \file
/// Questions about a number that have the same answer under every compiler flag; `equal` has it for numbers that are
/// not NaN. Under `-ffinite-math-only`, which is part of `-ffast-math`, compilers take it that no number is infinite or
/// NaN, and `std::isfinite(x)` is true for all.
namespace dchag::math {

namespace detail {
#if (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__) || defined(__FAST_MATH__)
inline constexpr bool finite_math_only = true;
#else
inline constexpr bool finite_math_only = false;
#endif

/// Whether the compiler may take floating-point sums apart and put them together in another order.
#if defined(__ASSOCIATIVE_MATH__) || defined(__FAST_MATH__)
inline constexpr bool sums_are_reordered = true;
#else
inline constexpr bool sums_are_reordered = false;
#endif

/// Then neither NaN nor digits that cancel can be left to floating-point operations.
inline constexpr bool fast_flags = finite_math_only || sums_are_reordered;

template <Scalar T>
using BitsOf = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;

/// Those of infinity: larger ones are NaN.
template <Scalar T>
inline constexpr BitsOf<T> infinity_bits = sizeof(T) == 4 ? BitsOf<T>{0x7f800000u} : BitsOf<T>(0x7ff0000000000000u);

/// The bits of |number|, in the order of the numbers.
template <Scalar T>
KOKKOS_INLINE_FUNCTION BitsOf<T> magnitude_bits(T number) {
  return bit_cast<BitsOf<T>>(number) & (BitsOf<T>(~BitsOf<T>{0}) >> 1);
}

/// The same of a number that was just computed: what the compiler believes of it ends where it is read from memory.
template <Scalar T>
KOKKOS_INLINE_FUNCTION BitsOf<T> magnitude_bits_in_memory(T number) {
  if constexpr (fast_flags) {
    T const volatile stored = number;
    return magnitude_bits<T>(stored);
  } else {
    return magnitude_bits(number);
  }
}
} // namespace detail

/// Neither infinite nor NaN.
template <Scalar T>
KOKKOS_INLINE_FUNCTION bool is_finite(T number) {
  return detail::magnitude_bits_in_memory(number) < detail::infinity_bits<T>;
}

template <Scalar T>
KOKKOS_INLINE_FUNCTION bool is_nan(T number) {
  return detail::magnitude_bits_in_memory(number) > detail::infinity_bits<T>;
}

/// a == b where exactly that is meant, such as a factor that was given as 0. Neither may be NaN.
template <Scalar T>
KOKKOS_INLINE_FUNCTION bool equal(T a, T b) {
  return a <= b && b <= a;
}

} // namespace dchag::math
