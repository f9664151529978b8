// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/core/hash.hpp>
#include <dchag/core/random.hpp>

#include <doctest/doctest.h>

#include <bit>
#include <set>
#include <string_view>
#include <vector>

namespace core_hash {

using namespace dchag;

namespace {

std::uint64_t hash_of(std::vector<double> const& values) {
  Hash hash;
  for (double const value : values) hash.add(std::bit_cast<std::uint64_t>(value));
  return hash.value();
}

/// The values and what may be made of them by mistake: other signs, other scales, another order.
std::vector<std::vector<double>> variants(std::vector<double> const& values) {
  std::vector<std::vector<double>> all{values};
  for (double const factor : {-1.0, 2.0, -2.0, 0.5, 4.0, 1024.0, 1.5}) {
    all.push_back(values);
    for (double& value : all.back()) value *= factor;
  }
  for (std::size_t i = 0; i + 1 < values.size(); i += 2) {
    all.push_back(values); // one pair in the other order
    std::swap(all.back()[i], all.back()[i + 1]);
    all.push_back(values); // two signs turned
    all.back()[i] *= -1;
    all.back()[i + 1] *= -1;
    all.push_back(values); // twice and half
    all.back()[i] *= 2;
    all.back()[i + 1] /= 2;
  }
  return all;
}

} // namespace

TEST_CASE("Hash: a text's is FNV-1a, from which initial values are drawn") {
  auto const of = [](std::string_view text) {
    Hash hash;
    for (char const c : text) hash.add(c);
    return hash.value();
  };
  CHECK(of("") == 0xcbf29ce484222325u);
  CHECK(of("a") == 0xaf63dc4c8601ec8cu);
  CHECK(of("foobar") == 0x85944171f73967e8u);
}

TEST_CASE("Hash: numbers with other signs, scaled by powers of two or in another order have another one") {
  Random const random(1, "hash");
  for (std::size_t const size : {2u, 4u, 16u, 32u, 64u}) {
    CAPTURE(size);
    std::vector<double> normal(size), in_float(size), powers(size);
    for (std::size_t i = 0; i < size; ++i) {
      normal[i] = random.normal(i);
      in_float[i] = static_cast<double>(static_cast<float>(normal[i])); // with zeros in its low bits
      powers[i] = std::ldexp(1.0, static_cast<int>(i));
    }
    for (auto const& values : {normal, in_float, powers}) {
      std::set<std::uint64_t> hashes;
      auto const all = variants(values);
      for (auto const& variant : all) hashes.insert(hash_of(variant));
      CHECK(hashes.size() == std::set<std::vector<double>>(all.begin(), all.end()).size());
    }
    std::vector<double> const ones(size, 1.0), twos(size, 2.0), turned(size, -1.0);
    CHECK(hash_of(ones) != hash_of(turned));
    CHECK(hash_of(ones) != hash_of(twos));
  }
}

} // namespace core_hash
