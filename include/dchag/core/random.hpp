// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/hash.hpp>
#include <dchag/core/kokkos.hpp>

#include <array>
#include <cmath>
#include <cstdint>
#include <string_view>

namespace dchag {

/// A counter of 128 bits becomes 128 random bits, in place.
/// Source: Philox4x32-10 of Salmon, Moraes, Dror and Shaw, Parallel random numbers: as easy as 1, 2, 3, SC11.
KOKKOS_INLINE_FUNCTION void philox4x32(std::uint32_t (&counter)[4], std::uint32_t key_0, std::uint32_t key_1) {
  for (int round = 0; round < 10; ++round) {
    std::uint64_t const a = std::uint64_t{0xD2511F53u} * counter[0];
    std::uint64_t const b = std::uint64_t{0xCD9E8D57u} * counter[2];
    counter[0] = static_cast<std::uint32_t>(b >> 32) ^ counter[1] ^ key_0;
    counter[1] = static_cast<std::uint32_t>(b);
    counter[2] = static_cast<std::uint32_t>(a >> 32) ^ counter[3] ^ key_1;
    counter[3] = static_cast<std::uint32_t>(a);
    key_0 += 0x9E3779B9u;
    key_1 += 0xBB67AE85u;
  }
}
inline std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) {
  std::uint32_t words[4] = {counter[0], counter[1], counter[2], counter[3]};
  philox4x32(words, key[0], key[1]);
  return {words[0], words[1], words[2], words[3]};
}

/// Counter-based random numbers: a value depends only on (seed, name, index),
/// never on how many ranks or threads ask for how many of them. Host only, so that libm is the same for every execution
/// space.
class Random {
public:
  Random(std::uint64_t seed, std::string_view name) : m_seed(seed) {
    Hash hash;
    for (char const c : name) hash.add(c);
    m_name = hash.value();
  }

  /// 128 random bits; `draw` gives further independent ones for the same index.
  std::array<std::uint32_t, 4> bits(std::uint64_t index, std::uint32_t draw = 0) const {
    auto const low = [](std::uint64_t x) { return static_cast<std::uint32_t>(x); };
    auto const high = [](std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32); };
    return philox4x32({low(index), high(index), draw, low(m_name ^ (m_name >> 32))}, {low(key()), high(key())});
  }

  /// What of seed and name is the generator's key, for kernels that count by themselves.
  std::uint64_t key() const { return m_seed ^ (m_name * 0x9e3779b97f4a7c15u); }

  /// Uniform in [0, 1), 53 bits.
  double uniform(std::uint64_t index, std::uint32_t draw = 0) const {
    auto const x = bits(index, draw);
    return to_unit(x[0], x[1]);
  }

  /// Standard normal (Box and Muller).
  double normal(std::uint64_t index, std::uint32_t draw = 0) const {
    auto const x = bits(index, draw);
    double const radius = std::sqrt(-2 * std::log(1 - to_unit(x[0], x[1])));
    return radius * std::cos(6.283185307179586 * to_unit(x[2], x[3]));
  }

  /// Standard normal cut at two standard deviations, by rejection.
  double truncated_normal(std::uint64_t index) const {
    for (std::uint32_t draw = 0;; ++draw) {
      double const x = normal(index, draw);
      if (std::fabs(x) <= 2) return x;
    }
  }

private:
  static double to_unit(std::uint32_t a, std::uint32_t b) {
    std::uint64_t const wide = (std::uint64_t{a} << 32) | b;
    return static_cast<double>(wide >> 11) * 0x1p-53;
  }

  std::uint64_t m_seed;
  std::uint64_t m_name;
};

} // namespace dchag
