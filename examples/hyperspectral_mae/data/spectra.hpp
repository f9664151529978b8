// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>

namespace hyperspectral {

enum class Material : std::size_t { tree, crop, dry_grass, soil, asphalt, water, count };

inline constexpr auto materials = static_cast<std::size_t>(Material::count);

/// The state of one scene's materials; 1 is typical throughout.
struct Conditions {
  double chlorophyll = 1;
  double leaf_water = 1;
  double soil_brightness = 1;
  double turbidity = 1;
};

/// The reflectance (0 to 1) of each material at a wavelength in nm.
///
/// Drawn by hand after spectral libraries, from bell-shaped absorptions and smooth steps: chlorophyll at 450 and
/// 680 nm, the green peak at 550, the red edge at 715, liquid water at 970, 1200, 1450 and 1940, clay at 2205,
/// cellulose at 2100 and 2300.
std::array<double, materials> reflectances(double wavelength, Conditions const& conditions);

} // namespace hyperspectral
