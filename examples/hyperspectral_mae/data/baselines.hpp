// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace hyperspectral {

/// One standardised image as the model sees it.
struct Image {
  std::size_t channels = 0;
  std::size_t lines = 0;
  std::size_t samples = 0;
  std::vector<float> values; // (C, H, W)

  std::size_t pixels() const { return lines * samples; }
};

/// What a method without learning makes of the hidden patches.
struct Filled {
  Image image;    // visible patches as they were, hidden ones filled in
  double mse = 0; // over the hidden patches and all channels; 0 when nothing is hidden
};

/// Fills the hidden patches with the mean of the visible ones, for each channel.
/// Shapes: `visible` are places of patches, row after row, below (lines / edge) * (samples / edge).
/// Throws: DataError when the sides are no multiples of the edge, or `visible` is empty or out of range.
Filled fill_with_mean(Image const& image, std::size_t edge, std::span<std::size_t const> visible);

/// Fills each hidden patch with the mean of the visible patches, weighted by distance^-power between the centres. A
/// patch is one vector of its pixels: the upper left pixel comes from upper left pixels.
/// Shapes, Throws: as above.
/// Source: D. Shepard, A two-dimensional interpolation function for irregularly-spaced data, 1968.
Filled fill_by_distance(Image const& image, std::size_t edge, std::span<std::size_t const> visible, double power = 3);

} // namespace hyperspectral
