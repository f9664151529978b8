// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "pictures/raster.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace hyperspectral {

/// Colours that stay apart for the colour-blind (Okabe and Ito's, without the yellow), round and round.
Colour series_colour(std::size_t index);

struct Series {
  std::string name; ///< without one it is not in the legend
  std::vector<double> x;
  std::vector<double> y;
  std::optional<Colour> colour{}; ///< else series_colour of its place
};

struct Plot {
  std::string title;
  std::string x_label;
  std::string y_label;
  bool log_y = false;
  std::vector<Series> series;
  int width = 900;
  int height = 540;
};

/// The stretches [first, last) of a series that are drawn without a break. A line breaks at points that cannot be
/// drawn (not finite, or not positive on a logarithmic axis) and where a step in x is more than five times the
/// median step, as where the water vapour's bands were taken out of a spectrum.
std::vector<std::pair<std::size_t, std::size_t>> unbroken_runs(Series const& series, bool log_y);

/// Lines over axes with a grid; a point without neighbours is a dot. The legend lies where it covers the least.
/// Throws: PictureError when a series has not as many x as y, or the picture is too small for its axes.
Raster draw(Plot const& plot);

} // namespace hyperspectral
