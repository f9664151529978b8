// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/error.hpp>

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

/// \file
/// The checksum of a file: the sum, modulo 2^64, of h(i, w) over its little-endian 4-byte words w number i = 0, 1, ...,
/// the last filled up with zeros, where the 16 digits of the checksum itself count as '0'.
///
///     z = ((i + 1) 0x9e3779b97f4a7c15 mod 2^64) xor w
///     z = (z xor (z >> 30)) 0xbf58476d1ce4e5b9 mod 2^64
///     z = (z xor (z >> 27)) 0x94d049bb133111eb mod 2^64
///     h = z xor (z >> 31)
///
/// For each i, h is one to one in w: a change within one word always changes the sum. It is a sum, so each rank sums up
/// what it writes. Source: the mixing is the finalizer of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
namespace dchag::detail {

inline std::uint64_t checksum_of_word(std::uint64_t index, std::uint32_t word) {
  std::uint64_t z = ((index + 1) * 0x9e3779b97f4a7c15u) ^ word;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

/// What these bytes add, at an offset that is a multiple of 4. Only at the file's end may they be no multiple of 4.
inline std::uint64_t checksum_of(std::size_t offset, void const* data, std::size_t bytes) {
  auto const* const from = static_cast<char const*>(data);
  std::uint64_t sum = 0;
  std::size_t const words = bytes / 4;
  for (std::size_t i = 0; i < words; ++i) {
    std::uint32_t word = 0;
    std::memcpy(&word, from + 4 * i, 4);
    sum += checksum_of_word(offset / 4 + i, word);
  }
  if (bytes % 4 != 0) {
    std::uint32_t word = 0;
    std::memcpy(&word, from + 4 * words, bytes % 4);
    sum += checksum_of_word(offset / 4 + words, word);
  }
  return sum;
}

/// The name under which a file's checksum stands in its metadata, and its digits before they are known.
inline std::string const checksum_name = "dchag.checksum";
inline std::string const no_checksum(16, '0');

inline std::string checksum_digits(std::uint64_t sum) {
  std::string digits;
  for (int shift = 60; shift >= 0; shift -= 4) digits += "0123456789abcdef"[(sum >> shift) & 15];
  return digits;
}

/// Where the digits are in a text that `json_text` wrote; npos if nowhere.
inline std::size_t find_checksum(std::string_view text) {
  auto const before = "\"" + checksum_name + "\":\""; // no name or text holds this: its quotes would have backslashes
  auto const at = text.find(before);
  bool const whole = at != text.npos && at + before.size() + no_checksum.size() < text.size();
  return whole && text[at + before.size() + no_checksum.size()] == '"' ? at + before.size() : text.npos;
}

/// The text with other digits.
inline std::string with_checksum(std::string text, std::string const& digits) {
  return text.replace(find_checksum(text), digits.size(), digits);
}

} // namespace dchag::detail
