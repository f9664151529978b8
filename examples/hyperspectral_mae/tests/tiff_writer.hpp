// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "files.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace hyperspectral::test {

struct TiffEntry {
  std::uint16_t tag;
  std::uint16_t type; // 2 text, 3 uint16, 4 uint32
  std::vector<std::uint32_t> numbers;
};

/// A TIFF of these entries: header, pixels from byte 8 on, directory, lists.
inline std::string tiff(std::vector<TiffEntry> const& entries, std::string const& pixels, bool big_endian = false,
                        std::uint16_t version = 42) {
  auto const u16 = [&](std::size_t n) { return bytes_of(static_cast<std::uint16_t>(n), big_endian); };
  auto const u32 = [&](std::size_t n) { return bytes_of(static_cast<std::uint32_t>(n), big_endian); };
  auto file = (big_endian ? "MM" : "II") + u16(version) + u32(8 + pixels.size()) + pixels;
  auto const lists_begin = file.size() + 2 + 12 * entries.size() + 4;
  std::string lists;
  file += u16(entries.size());
  for (auto const& entry : entries) {
    std::string value;
    for (auto const number : entry.numbers) {
      value += entry.type == 2   ? std::string(1, static_cast<char>(number))
               : entry.type == 3 ? u16(number)
                                 : u32(number);
    }
    file += u16(entry.tag) + u16(entry.type) + u32(entry.numbers.size());
    if (value.size() <= 4) {
      value.resize(4);
      file += value;
    } else {
      file += u32(lists_begin + lists.size());
      lists += value;
    }
  }
  return file + u32(0) + lists;
}

/// The entries of 4 lines x 3 samples x 2 bands in strips of up to 3 rows: two strips a plane.
inline std::vector<TiffEntry> tiff_entries(std::uint32_t bits, std::uint32_t format, bool planar) {
  auto const rows = bits / 8 * 3 * (planar ? 1 : 2); // bytes of one row in a strip
  TiffEntry offsets{273, 4, {8, 8 + 3 * rows}};
  TiffEntry counts{279, 4, {3 * rows, rows}};
  if (planar) {
    offsets.numbers.insert(offsets.numbers.end(), {8 + 4 * rows, 8 + 7 * rows});
    counts.numbers.insert(counts.numbers.end(), {3 * rows, rows});
  }
  return {{256, 3, {3}},
          {257, 3, {4}},
          {258, 3, {bits, bits}},
          {259, 3, {1}},
          offsets,
          {277, 3, {2}},
          {278, 3, {3}},
          counts,
          {284, 3, {planar ? 2U : 1U}},
          {339, 3, {format, format}}};
}

/// The pixels that go with them: 1 + place of (band, line, sample).
template <class Number>
std::string tiff_pixels(bool planar, bool big_endian) {
  std::string bytes;
  for (std::size_t i = 0; i < 24; ++i) {
    auto const band = planar ? i / 12 : i % 2;
    auto const pixel = planar ? i % 12 : i / 2;
    bytes += bytes_of(static_cast<Number>(1 + band * 12 + pixel), big_endian);
  }
  return bytes;
}

} // namespace hyperspectral::test
