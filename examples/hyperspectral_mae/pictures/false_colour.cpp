// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "pictures/false_colour.hpp"

#include "pictures/picture_error.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace hyperspectral {
namespace {

void check(std::string const& who, CubeView const& cube, Bands const& bands) {
  auto const expected = cube.channels > 0 && cube.height > 0 && cube.width > 0
                            ? static_cast<std::size_t>(cube.channels) * static_cast<std::size_t>(cube.height) *
                                  static_cast<std::size_t>(cube.width)
                            : 0;
  if (expected == 0 || cube.values.size() != expected)
    throw PictureError(who + ": the cube has " + std::to_string(cube.values.size()) +
                       " values, expected C x H x W = " + std::to_string(cube.channels) + " x " +
                       std::to_string(cube.height) + " x " + std::to_string(cube.width));
  for (int const band : bands)
    if (band < 0 || band >= cube.channels)
      throw PictureError(who + ": there is no band " + std::to_string(band) + " among " +
                         std::to_string(cube.channels) + " channels");
}

std::span<float const> plane(CubeView const& cube, int band) {
  auto const size = static_cast<std::size_t>(cube.height) * static_cast<std::size_t>(cube.width);
  return cube.values.subspan(static_cast<std::size_t>(band) * size, size); // (H, W)
}

float percentile(std::vector<float> const& sorted, double percent) {
  double const place = std::clamp(percent, 0.0, 100.0) / 100 * static_cast<double>(sorted.size() - 1);
  auto const below = static_cast<std::size_t>(place);
  auto const above = std::min(below + 1, sorted.size() - 1);
  return std::lerp(sorted[below], sorted[above], static_cast<float>(place - static_cast<double>(below)));
}

std::uint8_t stretched(float value, float low, float high) {
  if (!(high > low)) return 128;
  return static_cast<std::uint8_t>(std::lround(255 * std::clamp((value - low) / (high - low), 0.0F, 1.0F)));
}

} // namespace

Bands pick_bands(std::span<double const> wavelengths, int channels, ColourScheme scheme) {
  if (channels < 1) throw PictureError("pick_bands: there are no channels");
  if (!wavelengths.empty() && wavelengths.size() != static_cast<std::size_t>(channels))
    throw PictureError("pick_bands: there are " + std::to_string(wavelengths.size()) + " wavelengths, expected " +
                       std::to_string(channels) + ", one per channel");

  // Long waves are red, as in nature, if the channels are in the usual order.
  Bands const evenly{5 * channels / 6, 3 * channels / 6, channels / 6};
  auto const wanted =
      scheme == ColourScheme::natural ? std::array{660.0, 560.0, 480.0} : std::array{860.0, 660.0, 560.0};
  Bands bands{};
  for (std::size_t colour = 0; colour < 3; ++colour) {
    double nearest = std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < wavelengths.size(); ++i)
      if (double const distance = std::abs(wavelengths[i] - wanted[colour]); distance < nearest) {
        nearest = distance;
        bands[colour] = static_cast<int>(i);
      }
    if (!(nearest <= 50)) return evenly;
  }
  return bands;
}

Stretch percentile_stretch(CubeView const& reference, Bands const& bands, double lower, double upper) {
  check("percentile_stretch", reference, bands);
  Stretch stretch;
  for (std::size_t colour = 0; colour < 3; ++colour) {
    std::vector<float> sorted;
    for (float const value : plane(reference, bands[colour]))
      if (std::isfinite(value)) sorted.push_back(value);
    if (sorted.empty()) continue;
    std::sort(sorted.begin(), sorted.end());
    stretch.low[colour] = percentile(sorted, lower);
    stretch.high[colour] = percentile(sorted, upper);
  }
  return stretch;
}

Raster false_colour(CubeView const& cube, Bands const& bands, Stretch const& stretch) {
  check("false_colour", cube, bands);
  auto const red = plane(cube, bands[0]);
  auto const green = plane(cube, bands[1]);
  auto const blue = plane(cube, bands[2]);
  Raster picture(cube.width, cube.height, black);
  for (int y = 0; y < cube.height; ++y)
    for (int x = 0; x < cube.width; ++x) {
      auto const i = static_cast<std::size_t>(y) * static_cast<std::size_t>(cube.width) + static_cast<std::size_t>(x);
      if (!std::isfinite(red[i]) || !std::isfinite(green[i]) || !std::isfinite(blue[i])) continue;
      picture.set(x, y,
                  {stretched(red[i], stretch.low[0], stretch.high[0]),
                   stretched(green[i], stretch.low[1], stretch.high[1]),
                   stretched(blue[i], stretch.low[2], stretch.high[2])});
    }
  return picture;
}

} // namespace hyperspectral
