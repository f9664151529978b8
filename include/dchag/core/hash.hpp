// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

namespace dchag {

/// A hash of words or bytes added one after the other: FNV-1a. The bits of a word are mixed first, since FNV alone
/// carries none from the high to the low ones: the signs of two numbers turned would be as if nothing had happened. The
/// same on every machine. Source: Fowler, Noll and Vo, 64 bits; the mixing is that of SplitMix64 (Steele, Lea and Flood
/// 2014).
class Hash {
public:
  void add(std::uint64_t word) {
    word += 0x9e3779b97f4a7c15u;
    word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9u;
    word = (word ^ (word >> 27)) * 0x94d049bb133111ebu;
    take(word ^ (word >> 31));
  }
  void add(char byte) { take(static_cast<unsigned char>(byte)); }
  std::uint64_t value() const { return m_value; }

private:
  void take(std::uint64_t word) { m_value = (m_value ^ word) * 0x100000001b3u; }

  std::uint64_t m_value = 0xcbf29ce484222325u;
};

} // namespace dchag
