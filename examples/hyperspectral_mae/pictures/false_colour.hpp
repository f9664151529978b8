// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "pictures/raster.hpp"

#include <array>
#include <span>

namespace hyperspectral {

/// Borrowed values of one cube. Shapes: (channels, height, width)
struct CubeView {
  std::span<float const> values;
  int channels = 0;
  int height = 0;
  int width = 0;
};

/// The channels shown as red, green and blue.
using Bands = std::array<int, 3>;

enum class ColourScheme {
  natural,  ///< near 660, 560 and 480 nm
  infrared, ///< near 860, 660 and 560 nm: plants come out red
};

/// The nearest bands; three evenly spaced ones where there are no wavelengths, or none within 50 nm of one of the
/// three. Units: nanometres.
/// Throws: PictureError when there are wavelengths but not one per channel.
Bands pick_bands(std::span<double const> wavelengths, int channels, ColourScheme scheme = ColourScheme::natural);

/// What becomes black and what becomes full colour, per band.
struct Stretch {
  std::array<float, 3> low{0, 0, 0};
  std::array<float, 3> high{1, 1, 1};
};

/// Percentiles of the reference, linear between neighbours; values that are not finite do not count.
Stretch percentile_stretch(CubeView const& reference, Bands const& bands, double lower = 2, double upper = 98);

/// Three bands as one picture. A band without contrast is medium grey, a pixel with a value that is not finite black.
/// One stretch for several cubes makes their colours comparable.
/// Throws: PictureError when the cube's sizes do not match its values, or a band is not in it.
Raster false_colour(CubeView const& cube, Bands const& bands, Stretch const& stretch);

} // namespace hyperspectral
