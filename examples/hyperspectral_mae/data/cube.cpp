// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "data/cube.hpp"

#include "data/error.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace hyperspectral {

Cube drop_bad_bands(Cube cube) {
  std::size_t kept = 0;
  for (std::size_t b = 0; b < cube.bands; ++b) {
    if (!cube.good[b]) continue;
    if (kept != b) {
      std::ranges::copy(cube.band(b), cube.band(kept).begin());
      if (!cube.wavelengths.empty()) cube.wavelengths[kept] = cube.wavelengths[b];
      if (!cube.band_names.empty()) cube.band_names[kept] = cube.band_names[b];
    }
    ++kept;
  }
  if (kept == 0) fail(cube.source, ": all ", cube.bands, " bands are bad");
  cube.bands = kept;
  cube.values.resize(kept * cube.pixels());
  if (!cube.wavelengths.empty()) cube.wavelengths.resize(kept);
  if (!cube.band_names.empty()) cube.band_names.resize(kept);
  cube.good.assign(kept, true);
  return cube;
}

void require_finite(Cube const& cube) {
  auto const finite = [](float value) { return std::isfinite(value); };
  auto const first = std::ranges::find_if_not(cube.values, finite);
  if (first == cube.values.end()) return;
  auto const wrong = cube.values.end() - first - std::count_if(first, cube.values.end(), finite);
  auto const place = static_cast<std::size_t>(first - cube.values.begin());
  fail(cube.source, ": ", wrong, " of ", cube.values.size(), " values are NaN or infinite, the first in band ",
       place / cube.pixels(), ", line ", place % cube.pixels() / cube.samples, ", sample ", place % cube.samples);
}

} // namespace hyperspectral
