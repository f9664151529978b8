// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/bfloat16.hpp>
#include <dchag/core/concepts.hpp>
#include <dchag/core/error.hpp>

#include <array>
#include <bit>
#include <cstring>
#include <optional>
#include <string_view>

namespace dchag {

static_assert(std::endian::native == std::endian::little, "stored numbers are little-endian, as this machine must be");

/// What the numbers of a stored tensor are. Those of whole bytes that PyTorch writes can be skipped; floating-point
/// numbers of at least 16 bits can be read, float and double written.
enum class DType { boolean, u8, i8, f8_e5m2, f8_e4m3, i16, u16, f16, bf16, i32, u32, f32, i64, u64, f64 };

namespace detail {
struct DTypeRow {
  std::string_view name; ///< in a header
  std::size_t size;      ///< bytes of one number
};
inline constexpr std::array<DTypeRow, 15> dtype_table{{{"BOOL", 1},
                                                       {"U8", 1},
                                                       {"I8", 1},
                                                       {"F8_E5M2", 1},
                                                       {"F8_E4M3", 1},
                                                       {"I16", 2},
                                                       {"U16", 2},
                                                       {"F16", 2},
                                                       {"BF16", 2},
                                                       {"I32", 4},
                                                       {"U32", 4},
                                                       {"F32", 4},
                                                       {"I64", 8},
                                                       {"U64", 8},
                                                       {"F64", 8}}};
} // namespace detail

inline std::string_view name_of(DType dtype) {
  return detail::dtype_table[static_cast<std::size_t>(dtype)].name;
}

/// Bytes of one number.
inline std::size_t size_of(DType dtype) {
  return detail::dtype_table[static_cast<std::size_t>(dtype)].size;
}

/// By its name in a header.
inline std::optional<DType> dtype_named(std::string_view name) {
  for (std::size_t i = 0; i < detail::dtype_table.size(); ++i)
    if (detail::dtype_table[i].name == name) return static_cast<DType>(i);
  return std::nullopt;
}

template <Scalar T>
inline constexpr DType dtype_of = std::same_as<T, float> ? DType::f32 : DType::f64;

/// Whether `convert` takes it.
inline bool is_readable(DType dtype) {
  return dtype == DType::f16 || dtype == DType::bf16 || dtype == DType::f32 || dtype == DType::f64;
}

/// The number of IEEE binary16 bits: 1 sign, 5 exponent, 10 fraction.
inline float half_to_float(std::uint16_t bits) {
  std::uint32_t const sign = (bits & 0x8000u) << 16;
  std::uint32_t const exponent = (bits >> 10) & 0x1fu;
  std::uint32_t const fraction = bits & 0x3ffu;
  if (exponent == 0x1f) // infinity, or a NaN that is quiet
    return std::bit_cast<float>(sign | 0x7f800000u | fraction << 13 | (fraction == 0 ? 0 : 0x00400000u));
  if (exponent == 0)
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(static_cast<float>(fraction) * 0x1p-24f));
  return std::bit_cast<float>(sign | (exponent + 127 - 15) << 23 | fraction << 13);
}

/// `count` stored numbers, at any address, as T.
/// Throws: Error unless `is_readable`.
template <Scalar T>
void convert(DType dtype, void const* stored, std::size_t count, T* numbers) {
  auto const* const bytes = static_cast<char const*>(stored);
  auto const each = [&](auto zero, auto const& f) {
    for (std::size_t i = 0; i < count; ++i) {
      auto number = zero;
      std::memcpy(&number, bytes + i * sizeof(number), sizeof(number));
      numbers[i] = static_cast<T>(f(number));
    }
  };
  auto const same = [](auto number) { return number; };
  if (dtype == dtype_of<T>) {
    if (count > 0) std::memcpy(numbers, bytes, count * sizeof(T));
  } else if (dtype == DType::f32) {
    each(0.0f, same);
  } else if (dtype == DType::f64) {
    each(0.0, same);
  } else if (dtype == DType::f16) {
    each(std::uint16_t{0}, half_to_float);
  } else if (dtype == DType::bf16) {
    each(bfloat16(0), [](bfloat16 number) { return static_cast<float>(number); });
  } else {
    throw Error(concat("convert: numbers are ", name_of(dtype), ", expected F16, BF16, F32 or F64"));
  }
}

} // namespace dchag
