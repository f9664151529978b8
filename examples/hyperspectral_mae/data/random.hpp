// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>

namespace hyperspectral {

/// Random numbers that are a function of a key and a counter, so that every rank, and every machine, draws the same:
/// the distributions of the standard library are not specified, these are.
class Random {
public:
  /// Streams of different keys are independent, e.g. {seed, step, sample}.
  Random(std::initializer_list<std::uint64_t> key) {
    for (auto const part : key) m_key = mix(m_key ^ part);
  }

  std::uint64_t bits() { return mix(m_key + m_counter++ * golden); }

  /// In [0, 1).
  double uniform() { return static_cast<double>(bits() >> 11U) * 0x1p-53; }

  double uniform(double low, double high) { return low + (high - low) * uniform(); }

  /// In [0, count). The bias of the remainder is below count / 2^64.
  std::size_t below(std::size_t count) { return static_cast<std::size_t>(bits() % count); }

  /// Mean 0, variance 1, from the sum of four 16-bit numbers: no library function whose last digit may differ.
  double normal() {
    auto const b = bits();
    auto const sum = (b & 0xffffU) + (b >> 16U & 0xffffU) + (b >> 32U & 0xffffU) + (b >> 48U);
    constexpr double deviation = 37837.2; // of the sum: sqrt(4 / 12) * 65536
    return (static_cast<double>(sum) - 131070.0) / deviation;
  }

private:
  static constexpr std::uint64_t golden = 0x9e3779b97f4a7c15;

  // The finisher of SplitMix64 (Steele, Lea and Flood, 2014).
  static std::uint64_t mix(std::uint64_t x) {
    x += golden;
    x = (x ^ (x >> 30U)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27U)) * 0x94d049bb133111eb;
    return x ^ (x >> 31U);
  }

  std::uint64_t m_key = 0;
  std::uint64_t m_counter = 0;
};

} // namespace hyperspectral
