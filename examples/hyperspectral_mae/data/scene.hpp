// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "data/cube.hpp"

#include <cstddef>
#include <cstdint>

namespace hyperspectral {

struct SceneOptions {
  std::size_t lines = 32;
  std::size_t samples = 32;
  std::size_t bands = 128;
  std::uint64_t seed = 0;
  double first_wavelength = 400; // nm
  double last_wavelength = 2500; // nm
};

/// A made-up landscape seen by an imaging spectrometer, as reflectance from 0 to 1; pixels of about a metre.
///
/// Plausible where it counts: spectra with the absorption features of leaves, soil and water, mixed pixels at borders,
/// relief shading, sunlit and shadowed sides of crowns and rows, noise of 1/150 of the signal. What differs from seed
/// to seed: the direction and spacing of rows, the fields, their use, the river, the sun, the state of plants and
/// soils. Orchards and crops share a scene's direction and spacing, so a few visible patches tell the rest to whoever
/// has learnt how landscapes are made; interpolation between the patches cannot know.
/// The same seed makes the same scene everywhere, to the rounding of sin and exp.
///
/// Throws: DataError for an empty scene or a range of wavelengths outside 300 to 2600 nm.
Cube make_scene(SceneOptions const& options);

} // namespace hyperspectral
