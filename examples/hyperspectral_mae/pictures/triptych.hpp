// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "pictures/false_colour.hpp"
#include "pictures/raster.hpp"

#include <array>
#include <cstdint>
#include <span>
#include <string>

namespace hyperspectral {

inline constexpr Colour hidden_grey{178, 178, 178};

/// The picture with each hidden patch in grey.
/// Shapes: hidden (height / patch, width / patch), not zero where the patch is hidden
/// Throws: PictureError when the patches do not tile the picture.
Raster mask_patches(Raster picture, std::span<std::uint8_t const> hidden, int patch);

/// One test cube: three panels, and a line of text under each.
struct TriptychRow {
  std::array<Raster, 3> panels;
  std::array<std::string, 3> captions{"original", "masked", "reconstructed"};
};

/// The cube as it is, masked, and reconstructed, all three in the stretch of the original.
TriptychRow triptych_row(CubeView const& original, std::span<std::uint8_t const> hidden, int patch,
                         CubeView const& reconstructed, Bands const& bands);

/// The rows below each other, each panel enlarged by the whole number that makes it about 300 pixels wide.
/// Throws: PictureError when there are no rows.
Raster triptych(std::span<TriptychRow const> rows, std::string const& title = "");

} // namespace hyperspectral
