// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "data/cube.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

namespace hyperspectral {

enum class SampleType { uint8, int8, uint16, int16, uint32, int32, float32, float64 };

std::size_t bytes_per_sample(SampleType type);

/// The bytes an image must have; the largest representable number where the product is larger, so that no header's
/// numbers can wrap around to a small one.
template <class... Factor>
std::uint64_t saturating_product(Factor... factor) {
  std::uint64_t product = 1;
  auto const multiply = [&product](std::uint64_t by) {
    constexpr auto most = std::numeric_limits<std::uint64_t>::max();
    product = by != 0 && product > most / by ? most : product * by;
  };
  (multiply(static_cast<std::uint64_t>(factor)), ...);
  return product;
}

/// How the bytes of a file become values.
struct RawFormat {
  SampleType type = SampleType::uint8;
  bool big_endian = false;
  double scale = 1;             // values are divided by it
  std::optional<double> ignore; // the raw number that stands for "no data"
};

/// Fills a cube from raw bytes in whatever order the file has them.
class CubeBuilder {
public:
  /// `frame` has everything but the values; the caller has made sure that the file is large enough for them.
  CubeBuilder(Cube frame, RawFormat format);

  void put(std::size_t band, std::size_t line, std::size_t sample, unsigned char const* raw);

  /// Steps: bands without any data are flagged bad, single pixels without data get the mean of their band (near zero
  /// once standardised), bad bands are dropped, and what is left must be finite.
  /// Throws: DataError.
  Cube finish();

private:
  Cube m_cube;
  RawFormat m_format;
  std::vector<bool> m_missing; // as values; empty when the file has no such number
};

} // namespace hyperspectral
