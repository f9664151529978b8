// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "data/spectra.hpp"

#include <cmath>

namespace hyperspectral {

namespace {

double bell(double x, double centre, double width) {
  auto const z = (x - centre) / width;
  return std::exp(-0.5 * z * z);
}

double step(double x, double centre, double width) {
  return 1 / (1 + std::exp((centre - x) / width));
}

double leaves(double nm, double chlorophyll, double water, double plateau) {
  auto const pigment = (1 - 0.55 * bell(nm, 450, 35)) * (1 - 0.65 * bell(nm, 680, 22));
  auto const visible = (0.055 + 0.075 * bell(nm, 550, 32)) * std::pow(pigment, chlorophyll);
  auto const red_edge = step(nm, 706 + 9 * chlorophyll, 11);
  auto const liquid = 0.07 * bell(nm, 970, 30) + 0.14 * bell(nm, 1200, 45) + 1.25 * bell(nm, 1450, 65) +
                      1.7 * bell(nm, 1940, 90) + 0.45 * step(nm, 1350, 60) + 0.8 * step(nm, 2380, 90);
  return visible + (plateau - visible) * red_edge * std::exp(-water * liquid);
}

double soil(double nm, double brightness) {
  auto const rising = 0.06 + 0.36 * (1 - std::exp(-(nm - 330) / 620));
  auto const features = (1 - 0.10 * bell(nm, 880, 80)) * (1 - 0.14 * bell(nm, 1415, 40)) *
                        (1 - 0.28 * bell(nm, 1920, 50)) * (1 - 0.12 * bell(nm, 2205, 25));
  return brightness * rising * features;
}

double dry_grass(double nm) {
  auto const rising = 0.09 + 0.33 * step(nm, 640, 75);
  return rising * (1 - 0.25 * bell(nm, 1450, 60)) * (1 - 0.38 * bell(nm, 1935, 70)) * (1 - 0.22 * bell(nm, 2100, 60)) *
         (1 - 0.25 * bell(nm, 2310, 60)) * (1 - 0.3 * step(nm, 1900, 150));
}

} // namespace

std::array<double, materials> reflectances(double nm, Conditions const& conditions) {
  std::array<double, materials> result{};
  auto const at = [&result](Material material) -> double& { return result[static_cast<std::size_t>(material)]; };
  at(Material::tree) = leaves(nm, 1.3 * conditions.chlorophyll, 1.15 * conditions.leaf_water, 0.44);
  at(Material::crop) = leaves(nm, 0.7 * conditions.chlorophyll, 0.85 * conditions.leaf_water, 0.53);
  at(Material::dry_grass) = dry_grass(nm);
  at(Material::soil) = soil(nm, conditions.soil_brightness);
  at(Material::asphalt) = 0.085 + 0.05 * (1 - std::exp(-(nm - 350) / 900));
  at(Material::water) = 0.004 + 0.055 * std::exp(-(nm - 400) / 150) + 0.035 * conditions.turbidity * bell(nm, 575, 65);
  return result;
}

} // namespace hyperspectral
