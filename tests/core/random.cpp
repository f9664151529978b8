// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/core/random.hpp>

#include <doctest/doctest.h>

namespace core_random {

using dchag::philox4x32;
using dchag::Random;
using doctest::Approx;
using Four = std::array<std::uint32_t, 4>;

TEST_CASE("philox4x32: gives the vectors published with Random123") {
  CHECK(philox4x32({0, 0, 0, 0}, {0, 0}) == Four{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  std::uint32_t const ones = 0xffffffff;
  CHECK(philox4x32({ones, ones, ones, ones}, {ones, ones}) == Four{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        Four{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("Random: a value depends on seed, name, index and draw, and on nothing else") {
  Random const random(1, "weight");
  auto const value = random.bits(1000);
  for (std::uint64_t i = 0; i < 10; ++i) random.bits(i);
  CHECK(random.bits(1000) == value);
  CHECK(Random(1, "weight").bits(1000) == value);
  CHECK(Random(2, "weight").bits(1000) != value);
  CHECK(Random(1, "weighs").bits(1000) != value);
  CHECK(random.bits(1001) != value);
  CHECK(random.bits(1000, 1) != value);
  CHECK(random.bits(1000 + (std::uint64_t{1} << 32)) != value);
}

TEST_CASE("Random: moments are those of the distribution") {
  Random const random(7, "moments");
  constexpr int count = 200000;
  struct Moments {
    double mean = 0, square = 0, cube = 0;
    void add(double x) {
      mean += x / count;
      square += x * x / count;
      cube += x * x * x / count;
    }
  } uniform, normal, truncated;
  bool in_range = true;
  for (std::uint64_t i = 0; i < count; ++i) {
    double const u = random.uniform(i);
    double const t = random.truncated_normal(i);
    in_range = in_range && 0 <= u && u < 1 && -2 <= t && t <= 2;
    uniform.add(u);
    normal.add(random.normal(i));
    truncated.add(t);
  }
  CHECK(in_range);
  // Bounds of four standard errors and more.
  CHECK(std::fabs(uniform.mean - 0.5) < 0.003);
  CHECK(std::fabs(uniform.square - 1.0 / 3) < 0.003);
  CHECK(std::fabs(normal.mean) < 0.01);
  CHECK(std::fabs(normal.square - 1) < 0.015);
  CHECK(std::fabs(normal.cube) < 0.04);
  CHECK(std::fabs(truncated.mean) < 0.01);
  CHECK(std::fabs(truncated.square - 0.7737) < 0.01); // 1 - 4 phi(2) / (2 Phi(2) - 1)
}

TEST_CASE("Random: neighbours, names and seeds are not correlated") {
  constexpr int count = 100000;
  Random const random(3, "a");
  Random const other_name(3, "b");
  Random const other_seed(4, "a");
  double neighbour = 0, name = 0, seed = 0, draw = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    double const x = random.normal(i) / count;
    neighbour += x * random.normal(i + 1);
    name += x * other_name.normal(i);
    seed += x * other_seed.normal(i);
    draw += x * random.normal(i, 1);
  }
  double const bound = 0.0127; // four standard errors
  CHECK(std::fabs(neighbour) < bound);
  CHECK(std::fabs(name) < bound);
  CHECK(std::fabs(seed) < bound);
  CHECK(std::fabs(draw) < bound);
}

// Checkpoints and published runs rest on these: a change of the hash or the order of the bits shows here.
TEST_CASE("Random: gives the same numbers in every release") {
  CHECK(Random(1, "weight").bits(0) == Four{0x1f01cb13, 0xe90464c0, 0x47feb627, 0xecf7273f});
  CHECK(Random(0, "").uniform(5) == Approx(0.50458577985723985).epsilon(1e-15));
}

} // namespace core_random
