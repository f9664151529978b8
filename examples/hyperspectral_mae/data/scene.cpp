// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "data/scene.hpp"

#include "data/error.hpp"
#include "data/random.hpp"
#include "data/spectra.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <string>

namespace hyperspectral {

namespace {

/// What a point of the ground is made of and how much light it gets (1 on a sunlit plane).
struct Point {
  Material material;
  double light;
};

constexpr double shadow = 0.3; // the light of the sky alone
constexpr double two_pi = 2 * std::numbers::pi;

double fraction(double x) {
  return x - std::floor(x);
}

enum class Use { hedges, orchard, crop_rows, ploughed, meadow, pond };

/// The ground as a function of continuous coordinates in pixels, x along the samples and y along the lines.
class Landscape {
public:
  Landscape(std::uint64_t seed, double width, double height) : m_seed(seed) {
    Random random{seed, 1};
    // Most fields are laid out along the axes of the image, some at 45 degrees.
    constexpr std::array<double, 6> turns{0, 0, 90, 90, 45, 135};
    auto const turn = turns[random.below(turns.size())] * std::numbers::pi / 180;
    m_cos = std::cos(turn);
    m_sin = std::sin(turn);
    constexpr std::array<double, 4> spacings{4, 5, 6, 8};
    m_spacing = spacings[random.below(spacings.size())];
    // Fields are whole numbers of rows wide, so their borders keep the rhythm.
    m_field = {m_spacing * std::ceil(10 / m_spacing), m_spacing * std::ceil(13 / m_spacing)};
    m_origin = {random.uniform(0, m_field[0]), random.uniform(0, m_field[1])};
    // From the upper left, as on relief maps.
    auto const azimuth = random.uniform(205, 245) * std::numbers::pi / 180;
    m_sun = {std::cos(azimuth), std::sin(azimuth)};

    m_river = random.uniform() < 0.4;
    m_river_along_x = random.uniform() < 0.5;
    m_river_centre = random.uniform(0.15, 0.85) * (m_river_along_x ? height : width);
    m_river_swing = random.uniform(2, 4);
    m_river_length = random.uniform(22, 36);
    m_river_phase = random.uniform();
    m_river_half_width = random.uniform(1.5, 2.5);
    for (auto& hill : m_hills) {
      auto const direction = random.uniform(0, two_pi);
      auto const length = random.uniform(30, 70);
      hill = {two_pi * std::cos(direction) / length, two_pi * std::sin(direction) / length, random.uniform(0, two_pi)};
    }
  }

  Point at(double x, double y) const {
    auto point = ground(x, y);
    // The sunlit side of a hill is the one that rises away from the sun.
    double slope = 0;
    for (auto const& [kx, ky, phase] : m_hills) {
      slope -= (kx * m_sun[0] + ky * m_sun[1]) * std::cos(kx * x + ky * y + phase);
    }
    if (point.material != Material::water) point.light *= 1 + 0.35 * slope;
    return point;
  }

private:
  using Pair = std::array<double, 2>;

  Point ground(double x, double y) const {
    if (m_river) {
      auto const along = m_river_along_x ? x : y;
      auto const across = m_river_along_x ? y : x;
      auto const middle = m_river_centre + m_river_swing * std::sin(two_pi * (along / m_river_length + m_river_phase));
      auto const off = std::abs(across - middle);
      if (off < m_river_half_width) return {Material::water, 1};
      if (off < m_river_half_width + 1) return {Material::dry_grass, 1};
    }
    // u runs across the rows and v along them.
    auto const u = m_cos * x + m_sin * y + m_origin[0];
    auto const v = -m_sin * x + m_cos * y + m_origin[1];
    auto const column = std::floor(u / m_field[0]);
    auto const row = std::floor(v / m_field[1]);
    if (v - row * m_field[1] < 2) return {Material::asphalt, 1}; // the lane at the head of the fields
    switch (use(column, row)) {
    case Use::hedges:
      return hedge(u);
    case Use::orchard:
      return crown(u, v);
    case Use::crop_rows:
      return {fraction(u / m_spacing) < 0.5 ? Material::crop : Material::soil, 1};
    case Use::ploughed:
      return {Material::soil, 0.95};
    case Use::meadow:
      return {Material::dry_grass, 1};
    case Use::pond:
      break;
    }
    return {Material::water, 1};
  }

  Use use(double column, double row) const {
    constexpr std::array uses{Use::hedges,  Use::hedges,    Use::hedges,   Use::orchard, Use::orchard,
                              Use::orchard, Use::crop_rows, Use::ploughed, Use::meadow,  Use::pond};
    auto const key = [](double i) { return static_cast<std::uint64_t>(i + 1e6); }; // left of the origin i < 0
    return uses[Random{m_seed, 2, key(column), key(row)}.below(uses.size())];
  }

  // The sun's direction along u, towards the light.
  double sun_u() const { return m_cos * m_sun[0] + m_sin * m_sun[1]; }
  double sun_v() const { return -m_sin * m_sun[0] + m_cos * m_sun[1]; }

  Point hedge(double u) const {
    auto const lit_from_left = sun_u() < 0;
    auto across = fraction(u / m_spacing);
    if (!lit_from_left) across = 1 - across;
    if (across < 0.25) return {Material::tree, 1.1};
    if (across < 0.5) return {Material::tree, 0.55};
    return {Material::soil, across < 0.7 ? shadow : 1};
  }

  Point crown(double u, double v) const {
    auto const radius = 0.37 * m_spacing;
    auto const centred = [this](double x) { return m_spacing * (fraction(x / m_spacing) - 0.5); };
    auto const du = centred(u);
    auto const dv = centred(v);
    if (du * du + dv * dv < radius * radius) {
      // A ball under a sun at 45 degrees.
      auto const up = std::sqrt(radius * radius - du * du - dv * dv);
      auto const light = (du * sun_u() + dv * sun_v() + up) / (radius * std::numbers::sqrt2);
      return {Material::tree, shadow + 0.9 * std::max(0.0, light)};
    }
    auto const su = centred(u + 0.5 * radius * sun_u());
    auto const sv = centred(v + 0.5 * radius * sun_v());
    return {Material::dry_grass, su * su + sv * sv < radius * radius ? shadow : 1};
  }

  std::uint64_t m_seed;
  double m_cos = 1;
  double m_sin = 0;
  double m_spacing = 0;
  Pair m_field{};
  Pair m_origin{};
  Pair m_sun{};
  bool m_river = false;
  bool m_river_along_x = false;
  double m_river_centre = 0;
  double m_river_swing = 0;
  double m_river_length = 1;
  double m_river_phase = 0;
  double m_river_half_width = 0;
  std::array<std::array<double, 3>, 3> m_hills{}; // kx, ky, phase
};

// The share of each material in each pixel, weighted by its light: (materials, lines, samples).
std::vector<double> lit_shares(SceneOptions const& options) {
  constexpr int fine = 3; // points per pixel and direction
  Landscape const landscape(options.seed, static_cast<double>(options.samples), static_cast<double>(options.lines));
  auto const pixels = options.lines * options.samples;
  std::vector<double> shares(materials * pixels);
  for (std::size_t p = 0; p < pixels; ++p) {
    auto const line = static_cast<double>(p / options.samples);
    auto const sample = static_cast<double>(p % options.samples);
    for (int i = 0; i < fine * fine; ++i) {
      auto const point = landscape.at(sample + (i % fine + 0.5) / fine, line + (i / fine + 0.5) / fine);
      shares[static_cast<std::size_t>(point.material) * pixels + p] += point.light / (fine * fine);
    }
  }
  return shares;
}

} // namespace

Cube make_scene(SceneOptions const& options) {
  if (options.lines == 0 || options.samples == 0 || options.bands == 0) {
    fail("scene: ", options.lines, " lines x ", options.samples, " samples x ", options.bands, " bands hold no pixel");
  }
  if (!(300 <= options.first_wavelength && options.first_wavelength <= options.last_wavelength &&
        options.last_wavelength <= 2600)) {
    fail("scene: wavelengths from ", options.first_wavelength, " to ", options.last_wavelength,
         " nm, expected a range within 300 to 2600");
  }
  Cube cube;
  cube.lines = options.lines;
  cube.samples = options.samples;
  cube.bands = options.bands;
  cube.good.assign(options.bands, true);
  cube.source = "scene " + std::to_string(options.seed);
  cube.values.resize(cube.bands * cube.pixels());

  Random random{options.seed, 3};
  Conditions conditions;
  for (auto* const state : {&conditions.chlorophyll, &conditions.leaf_water, &conditions.soil_brightness}) {
    *state = random.uniform(0.8, 1.2);
  }
  conditions.turbidity = random.uniform(0.4, 1.6);
  auto const shares = lit_shares(options);
  auto const steps = static_cast<double>(std::max<std::size_t>(options.bands - 1, 1));
  for (std::size_t b = 0; b < cube.bands; ++b) {
    auto const range = options.last_wavelength - options.first_wavelength;
    cube.wavelengths.push_back(options.first_wavelength + range * static_cast<double>(b) / steps);
    auto const spectrum = reflectances(cube.wavelengths.back(), conditions);
    Random noise{options.seed, 4, b};
    auto const relative = noise.uniform(0.7, 1.3) / 150; // detectors differ
    auto const band = cube.band(b);
    for (std::size_t p = 0; p < band.size(); ++p) {
      double value = 0;
      for (std::size_t m = 0; m < materials; ++m) value += spectrum[m] * shares[m * band.size() + p];
      band[p] = static_cast<float>(value + relative * (value + 0.02) * noise.normal());
    }
  }
  return cube;
}

} // namespace hyperspectral
