// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>

namespace dchag {

/// Indices [begin, end).
struct Range {
  std::size_t begin = 0;
  std::size_t end = 0;

  std::size_t size() const { return end - begin; }
  bool contains(std::size_t index) const { return begin <= index && index < end; }
  friend bool operator==(Range const&, Range const&) = default;
};

/// Part `part` of `count` things cut into `parts` contiguous parts as equal as possible; the first ones are the larger.
///
///     count 10, parts 4:   [0 1 2][3 4 5][6 7][8 9]
inline Range even_part(std::size_t count, std::size_t parts, std::size_t part) {
  std::size_t const size = count / parts;
  std::size_t const larger = count % parts;
  std::size_t const begin = part * size + (part < larger ? part : larger);
  return {begin, begin + size + (part < larger ? 1 : 0)};
}

} // namespace dchag
