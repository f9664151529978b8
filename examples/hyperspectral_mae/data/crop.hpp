// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace hyperspectral {

/// The size of what is cut out of the cubes, in pixels. A number alone is the edge of a square.
struct Crop {
  std::size_t lines;
  std::size_t samples;

  constexpr Crop(std::size_t edge) : lines(edge), samples(edge) {}
  constexpr Crop(std::size_t lines_, std::size_t samples_) : lines(lines_), samples(samples_) {}

  constexpr std::size_t pixels() const { return lines * samples; }
  constexpr std::size_t patches(std::size_t edge) const { return lines / edge * (samples / edge); }
};

/// "20" or "192x384", and back; none for anything else.
std::string to_string(Crop const& crop);
std::optional<Crop> read_crop(std::string_view text);

} // namespace hyperspectral
