// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace hyperspectral {

/// One hyperspectral image in memory, band after band.
struct Cube {
  std::size_t lines = 0;
  std::size_t samples = 0;
  std::size_t bands = 0;
  std::vector<float> values;                // (bands, lines, samples)
  std::vector<double> wavelengths;          // (bands) in nm, or empty when the file does not tell
  std::vector<bool> good;                   // (bands); the readers drop the bad ones, so theirs are all true
  std::string source;                       // the file it came from, or what generated it
  std::size_t filled = 0;                   // pixels without data, which hold the mean of their band instead
  std::vector<std::string> band_names = {}; // (bands), or empty when the file does not tell

  std::size_t pixels() const { return lines * samples; }
  float at(std::size_t band, std::size_t line, std::size_t sample) const {
    return values[(band * lines + line) * samples + sample];
  }
  std::span<float> band(std::size_t b) { return {values.data() + b * pixels(), pixels()}; }
  std::span<float const> band(std::size_t b) const { return {values.data() + b * pixels(), pixels()}; }
};

/// The same cube without the bands whose flag is false.
/// Throws: DataError when none is left.
Cube drop_bad_bands(Cube cube);

/// Throws: DataError when a value is NaN or infinite, with their number and the place of the first.
void require_finite(Cube const& cube);

} // namespace hyperspectral
