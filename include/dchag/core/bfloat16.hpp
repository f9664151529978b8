// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/math.hpp>

namespace dchag {

/// The upper half of a float: its range, and 8 bits of precision. Stored in memory to halve traffic and to feed the
/// matrix units of devices; sums are kept in float.
struct bfloat16 {
  std::uint16_t bits;

  bfloat16() = default;

  /// Rounds the number as a float to the nearest, to even between two; NaN stays NaN.
  template <class Number>
  requires std::is_arithmetic_v<Number> KOKKOS_FUNCTION explicit bfloat16(Number number) {
    std::uint32_t const whole = math::bit_cast<std::uint32_t>(static_cast<float>(number));
    bool const is_nan = (whole & 0x7fffffffu) > 0x7f800000u;
    // A NaN keeps its sign and gets a digit that survives: rounding could carry it into infinity.
    bits = static_cast<std::uint16_t>(is_nan ? (whole >> 16) | 0x40u : (whole + 0x7fffu + ((whole >> 16) & 1u)) >> 16);
  }

  KOKKOS_FUNCTION operator float() const { return math::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }
};
static_assert(sizeof(bfloat16) == 2 && std::is_trivially_copyable_v<bfloat16>);

namespace detail {
template <class Number>
struct Accumulator {
  using type = Number;
};
template <>
struct Accumulator<bfloat16> {
  using type = float;
};
} // namespace detail

/// What products of such numbers are summed up in.
template <class Number>
using AccumulatorOf = typename detail::Accumulator<Number>::type;

} // namespace dchag
