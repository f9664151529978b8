// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace hyperspectral {

struct Colour {
  std::uint8_t red = 0;
  std::uint8_t green = 0;
  std::uint8_t blue = 0;

  bool operator==(Colour const&) const = default;
};

inline constexpr Colour white{255, 255, 255};
inline constexpr Colour black{0, 0, 0};

/// In pixels from the top left corner; whole numbers are the centres of pixels.
struct Point {
  double x = 0;
  double y = 0;
};

/// An image of 8 bit per colour. Whatever is drawn outside of it is cut off.
class Raster {
public:
  /// Throws: PictureError unless both sizes are positive.
  Raster(int width, int height, Colour background = white);

  int width() const { return m_width; }
  int height() const { return m_height; }
  /// Shapes: (height, width, 3)
  std::span<std::uint8_t const> pixels() const { return m_pixels; }

  /// Throws: PictureError outside of the image.
  Colour at(int x, int y) const;

  void set(int x, int y, Colour colour);
  /// Mixes `colour` into what is there, by a share from 0 to 1.
  void blend(int x, int y, Colour colour, double share);
  void fill(Colour colour);
  void fill(int x, int y, int width, int height, Colour colour);
  void frame(int x, int y, int width, int height, Colour colour);

  /// Copies `source` to (x, y), each of its pixels as a square of factor x factor.
  void blit(Raster const& source, int x, int y, int factor = 1);

  void line(Point from, Point to, Colour colour, double thickness = 1);
  /// Anti-aliased with round ends and joints; of one point, it is a disc. Overlaps are painted once.
  void polyline(std::span<Point const> points, Colour colour, double thickness = 1);

  /// The top left corner of the first letter's cell is (x, y).
  void text(int x, int y, std::string_view text, Colour colour, int scale = 1);
  /// Reads from the bottom to the top; (x, y) is the bottom left corner.
  void text_upwards(int x, int y, std::string_view text, Colour colour, int scale = 1);

private:
  std::size_t offset(int x, int y) const;
  bool contains(int x, int y) const { return x >= 0 && y >= 0 && x < m_width && y < m_height; }

  int m_width;
  int m_height;
  std::vector<std::uint8_t> m_pixels;
};

int text_width(std::string_view text, int scale = 1);
/// From the top of a capital to the base line; descenders hang 2 * scale below.
int text_height(int scale = 1);

} // namespace hyperspectral
