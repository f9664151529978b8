// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "pictures/raster.hpp"

#include "pictures/font.hpp"
#include "pictures/picture_error.hpp"

#include <algorithm>
#include <cmath>
#include <string>

namespace hyperspectral {
namespace {

double distance_to_segment(Point p, Point a, Point b) {
  double const dx = b.x - a.x;
  double const dy = b.y - a.y;
  double const length2 = dx * dx + dy * dy;
  double const t = length2 > 0 ? std::clamp(((p.x - a.x) * dx + (p.y - a.y) * dy) / length2, 0.0, 1.0) : 0.0;
  return std::hypot(p.x - (a.x + t * dx), p.y - (a.y + t * dy));
}

// Clamped before the cast, which is undefined for what an int cannot hold.
int to_pixel(double value, int limit) {
  return static_cast<int>(std::clamp(value, 0.0, static_cast<double>(limit)));
}

std::size_t checked_size(int width, int height) {
  if (width <= 0 || height <= 0)
    throw PictureError("Raster: the size is " + std::to_string(width) + " x " + std::to_string(height) +
                       ", expected positive");
  return 3 * static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
}

} // namespace

Raster::Raster(int width, int height, Colour background)
    : m_width(width), m_height(height), m_pixels(checked_size(width, height)) {
  fill(background);
}

std::size_t Raster::offset(int x, int y) const {
  return 3 * (static_cast<std::size_t>(y) * static_cast<std::size_t>(m_width) + static_cast<std::size_t>(x));
}

Colour Raster::at(int x, int y) const {
  if (!contains(x, y))
    throw PictureError("Raster::at: (" + std::to_string(x) + ", " + std::to_string(y) + ") is outside of " +
                       std::to_string(m_width) + " x " + std::to_string(m_height));
  auto const i = offset(x, y);
  return {m_pixels[i], m_pixels[i + 1], m_pixels[i + 2]};
}

void Raster::set(int x, int y, Colour colour) {
  if (!contains(x, y)) return;
  auto const i = offset(x, y);
  m_pixels[i] = colour.red;
  m_pixels[i + 1] = colour.green;
  m_pixels[i + 2] = colour.blue;
}

void Raster::blend(int x, int y, Colour colour, double share) {
  if (!contains(x, y)) return;
  auto const mix = [&](std::uint8_t from, std::uint8_t to) {
    return static_cast<std::uint8_t>(std::lround(from + (to - from) * std::clamp(share, 0.0, 1.0)));
  };
  auto const old = at(x, y);
  set(x, y, {mix(old.red, colour.red), mix(old.green, colour.green), mix(old.blue, colour.blue)});
}

void Raster::fill(Colour colour) {
  fill(0, 0, m_width, m_height, colour);
}

void Raster::fill(int x, int y, int width, int height, Colour colour) {
  for (int row = std::max(y, 0); row < std::min(y + height, m_height); ++row)
    for (int column = std::max(x, 0); column < std::min(x + width, m_width); ++column) set(column, row, colour);
}

void Raster::frame(int x, int y, int width, int height, Colour colour) {
  fill(x, y, width, 1, colour);
  fill(x, y + height - 1, width, 1, colour);
  fill(x, y, 1, height, colour);
  fill(x + width - 1, y, 1, height, colour);
}

void Raster::blit(Raster const& source, int x, int y, int factor) {
  if (factor < 1) throw PictureError("Raster::blit: factor is " + std::to_string(factor) + ", expected at least 1");
  for (int row = 0; row < source.height(); ++row)
    for (int column = 0; column < source.width(); ++column)
      fill(x + column * factor, y + row * factor, factor, factor, source.at(column, row));
}

void Raster::line(Point from, Point to, Colour colour, double thickness) {
  Point const ends[]{from, to};
  polyline(ends, colour, thickness);
}

void Raster::polyline(std::span<Point const> points, Colour colour, double thickness) {
  // Coverage first, colour second: a joint that two segments share would come out darker otherwise.
  std::vector<float> coverage(m_pixels.size() / 3);
  double const reach = thickness / 2 + 0.5;
  for (std::size_t i = 0; i < points.size(); ++i) {
    Point const a = points[i > 0 ? i - 1 : 0];
    Point const b = points[i];
    if (!std::isfinite(a.x + a.y + b.x + b.y)) continue;
    int const right = to_pixel(std::max(a.x, b.x) + reach + 1, m_width);
    int const bottom = to_pixel(std::max(a.y, b.y) + reach + 1, m_height);
    for (int y = to_pixel(std::min(a.y, b.y) - reach, m_height); y < bottom; ++y)
      for (int x = to_pixel(std::min(a.x, b.x) - reach, m_width); x < right; ++x) {
        Point const centre{static_cast<double>(x), static_cast<double>(y)};
        auto const covered = static_cast<float>(std::clamp(reach - distance_to_segment(centre, a, b), 0.0, 1.0));
        auto& pixel = coverage[offset(x, y) / 3];
        pixel = std::max(pixel, covered);
      }
  }
  for (int y = 0; y < m_height; ++y)
    for (int x = 0; x < m_width; ++x)
      if (float const share = coverage[offset(x, y) / 3]; share > 0) blend(x, y, colour, static_cast<double>(share));
}

void Raster::text(int x, int y, std::string_view text, Colour colour, int scale) {
  for (char const character : text) {
    for (int row = 0; row < glyph_height; ++row)
      for (int column = 0; column < glyph_width; ++column)
        if (glyph_dot(character, column, row)) fill(x + column * scale, y + row * scale, scale, scale, colour);
    x += glyph_advance * scale;
  }
}

void Raster::text_upwards(int x, int y, std::string_view text, Colour colour, int scale) {
  for (char const character : text) {
    for (int row = 0; row < glyph_height; ++row)
      for (int column = 0; column < glyph_width; ++column)
        if (glyph_dot(character, column, row))
          fill(x + row * scale, y + 1 - (column + 1) * scale, scale, scale, colour);
    y -= glyph_advance * scale;
  }
}

int text_width(std::string_view text, int scale) {
  if (text.empty()) return 0;
  return (static_cast<int>(text.size()) * glyph_advance - (glyph_advance - glyph_width)) * scale;
}

int text_height(int scale) {
  return glyph_cap_height * scale;
}

} // namespace hyperspectral
