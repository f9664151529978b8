// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "data/scene.hpp"

#include "data/spectra.hpp"
#include "files.hpp"

#include <doctest/doctest.h>

#include <cmath>

using namespace hyperspectral;
using namespace hyperspectral::test;

namespace {

double reflectance(Material material, double wavelength) {
  return reflectances(wavelength, {})[static_cast<std::size_t>(material)];
}

} // namespace

TEST_CASE("spectra have the features they are named for") {
  for (auto const plant : {Material::tree, Material::crop}) {
    CHECK(reflectance(plant, 550) > 1.3 * reflectance(plant, 450)); // the green peak
    CHECK(reflectance(plant, 550) > 1.3 * reflectance(plant, 680));
    CHECK(reflectance(plant, 800) > 5 * reflectance(plant, 680)); // the red edge
    for (double const water : {970.0, 1200.0, 1450.0, 1940.0}) {
      CAPTURE(water);
      CHECK(reflectance(plant, water) < 0.98 * reflectance(plant, water - 110));
    }
  }
  CHECK(reflectance(Material::soil, 1600) > 2 * reflectance(Material::soil, 450));
  CHECK(reflectance(Material::soil, 2205) < reflectance(Material::soil, 2120));
  CHECK(reflectance(Material::water, 900) < 0.2 * reflectance(Material::water, 450));
  for (double nm = 300; nm <= 2600; nm += 5) {
    for (auto const value : reflectances(nm, {})) CHECK((value > 0 && value < 0.7));
  }
}

TEST_CASE("a scene is a function of its options") {
  SceneOptions options{.lines = 24, .samples = 31, .bands = 17, .seed = 5};
  auto const scene = make_scene(options);
  CHECK(scene.lines == 24);
  CHECK(scene.samples == 31);
  CHECK(scene.bands == 17);
  CHECK(scene.values.size() == 24 * 31 * 17);
  CHECK(scene.good.size() == 17);
  CHECK(scene.wavelengths.front() == 400);
  CHECK(scene.wavelengths.back() == 2500);
  CHECK(make_scene(options).values == scene.values);
  options.seed = 6;
  CHECK(make_scene(options).values != scene.values);
  require_finite(scene);
  options.last_wavelength = 900;
  CHECK(make_scene(options).wavelengths.back() == 900);
}

TEST_CASE("the first scenes are those of every machine") {
  // Sums over a few scenes: the rounding of sin and exp may differ, a random number may not.
  double sum = 0;
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    for (auto const value : make_scene({.lines = 16, .samples = 16, .bands = 8, .seed = seed}).values) {
      sum += static_cast<double>(value);
    }
  }
  CHECK(sum == doctest::Approx(1525.53).epsilon(1e-5));
}

TEST_CASE("noise is about one part in a hundred and fifty") {
  // The same landscape with twice the bands has other noise in bands of the same wavelength.
  auto const coarse = make_scene({.lines = 32, .samples = 32, .bands = 11, .seed = 3});
  auto const fine = make_scene({.lines = 32, .samples = 32, .bands = 21, .seed = 3});
  double relative = 0;
  for (std::size_t p = 0; p < coarse.pixels(); ++p) {
    auto const a = static_cast<double>(coarse.band(3)[p]);
    auto const b = static_cast<double>(fine.band(6)[p]);
    relative += (a - b) * (a - b) / (2 * (a + 0.02) * (a + 0.02));
  }
  relative = std::sqrt(relative / static_cast<double>(coarse.pixels()));
  CHECK(relative > 0.5 / 150);
  CHECK(relative < 1.5 / 150);
}

TEST_CASE("what is no scene") {
  CHECK(contains(message_of([] { make_scene({.lines = 0}); }), "0 lines x 32 samples x 128 bands"));
  CHECK(contains(message_of([] { make_scene({.first_wavelength = 900, .last_wavelength = 400}); }), "900 to 400 nm"));
  CHECK(contains(message_of([] { make_scene({.last_wavelength = NAN}); }), "expected a range within 300 to 2600"));
  CHECK(make_scene({.lines = 1, .samples = 1, .bands = 1}).values.size() == 1);
}
