// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "pictures/plot.hpp"
#include "pictures/raster.hpp"

namespace hyperspectral {

/// A rectangle of pixels.
struct Area {
  int left = 0;
  int top = 0;
  int width = 0;
  int height = 0;

  int bottom() const { return top + height - 1; }
  int right() const { return left + width - 1; }
};

/// The names of the series, in `area`, where `curves` (which is white but for them) has the least ink.
void draw_legend(Raster& picture, Raster const& curves, Plot const& plot, Area const& area);

} // namespace hyperspectral
