// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "pictures/plot.hpp"

#include "pictures/axis.hpp"
#include "pictures/legend.hpp"
#include "pictures/picture_error.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace hyperspectral {
namespace {

constexpr int scale = 2; // of all text but the title, in the legend too
constexpr int margin = 16;
constexpr int tick_length = 6;
constexpr int y_tick_distance = 60;
constexpr double line_thickness = 2.2;
constexpr double dot_thickness = 8;
constexpr Colour ink{34, 34, 34};
constexpr Colour grid{222, 222, 222};
constexpr Colour faint_grid{240, 240, 240};

struct Frame {
  Axis x;
  Axis y;
  Area area;

  double column(double value) const { return area.left + x.share(value) * (area.width - 1); }
  double row(double value) const { return area.bottom() - y.share(value) * (area.height - 1); }
};

int widest_label(Axis const& axis) {
  int widest = 0;
  for (auto const& label : axis.labels) widest = std::max(widest, text_width(label, scale));
  return widest;
}

// As many ticks as their labels leave room for.
Axis make_x_axis(std::vector<double> const& values, int width) {
  int most = 10;
  Axis axis = make_axis(values, false, 0.02, most);
  while (most > 1 && static_cast<int>(axis.ticks.size()) * (widest_label(axis) + 24) > width)
    axis = make_axis(values, false, 0.02, --most);
  return axis;
}

int title_scale(Plot const& plot) {
  int fitting = 3;
  while (fitting > 1 && text_width(plot.title, fitting) > plot.width - 2 * margin) --fitting;
  return fitting;
}

Frame lay_out(Plot const& plot) {
  std::vector<double> xs;
  std::vector<double> ys;
  for (auto const& series : plot.series) {
    if (series.x.size() != series.y.size())
      throw PictureError("draw: series '" + series.name + "' has " + std::to_string(series.x.size()) + " x and " +
                         std::to_string(series.y.size()) + " y, expected as many");
    for (std::size_t i = 0; i < series.x.size(); ++i)
      if (is_drawable(series.x[i], false) && is_drawable(series.y[i], plot.log_y)) {
        xs.push_back(series.x[i]);
        ys.push_back(series.y[i]);
      }
  }
  Frame frame;
  int const line = text_height(scale);
  frame.area.top = margin + (plot.title.empty() ? 0 : text_height(title_scale(plot)) + margin);
  int const below = tick_length + 6 + line + (plot.x_label.empty() ? 0 : 12 + line) + margin + 2 * scale;
  frame.area.height = plot.height - frame.area.top - below;
  frame.y = make_axis(ys, plot.log_y, 0.05, std::max(2, frame.area.height / y_tick_distance));
  frame.area.left = margin + (plot.y_label.empty() ? 0 : line + 14) + widest_label(frame.y) + 6 + tick_length;
  frame.area.width = plot.width - frame.area.left - margin;
  frame.x = make_x_axis(xs, frame.area.width);
  if (frame.area.width < 100 || frame.area.height < 60)
    throw PictureError("draw: a picture of " + std::to_string(plot.width) + " x " + std::to_string(plot.height) +
                       " is too small for the plot '" + plot.title + "'");
  return frame;
}

void draw_axes(Raster& picture, Plot const& plot, Frame const& frame) {
  auto const& area = frame.area;
  auto const pixel = [](double place) { return static_cast<int>(std::lround(place)); };
  for (double const value : frame.y.minor) picture.fill(area.left, pixel(frame.row(value)), area.width, 1, faint_grid);
  for (double const value : frame.y.ticks) picture.fill(area.left, pixel(frame.row(value)), area.width, 1, grid);
  for (double const value : frame.x.ticks) picture.fill(pixel(frame.column(value)), area.top, 1, area.height, grid);

  int const line = text_height(scale);
  for (std::size_t i = 0; i < frame.y.ticks.size(); ++i) {
    int const row = pixel(frame.row(frame.y.ticks[i]));
    auto const& label = frame.y.labels[i];
    picture.fill(area.left - tick_length, row, tick_length, 1, ink);
    picture.text(area.left - tick_length - 6 - text_width(label, scale), row - line / 2, label, ink, scale);
  }
  int const labels_top = area.bottom() + tick_length + 6;
  for (std::size_t i = 0; i < frame.x.ticks.size(); ++i) {
    int const column = pixel(frame.column(frame.x.ticks[i]));
    auto const& label = frame.x.labels[i];
    picture.fill(column, area.bottom(), 1, tick_length, ink);
    // Kept inside of the picture when the last tick is at the corner.
    int const width = text_width(label, scale);
    picture.text(std::min(column - width / 2, plot.width - width - 4), labels_top, label, ink, scale);
  }
  picture.frame(area.left, area.top, area.width, area.height, ink);

  // Over the middle of the axes, unless that would cut off a long title.
  int const title = title_scale(plot);
  int const title_width = text_width(plot.title, title);
  int const title_left = std::min(area.left + (area.width - title_width) / 2, plot.width - margin - title_width);
  picture.text(std::max(title_left, margin), margin, plot.title, ink, title);
  picture.text(area.left + (area.width - text_width(plot.x_label, scale)) / 2, labels_top + line + 12, plot.x_label,
               ink, scale);
  picture.text_upwards(margin, area.top + (area.height + text_width(plot.y_label, scale)) / 2, plot.y_label, ink,
                       scale);
}

void draw_curve(Raster& picture, Frame const& frame, Series const& series, Colour colour, bool log_y) {
  for (auto const& [first, last] : unbroken_runs(series, log_y)) {
    std::vector<Point> points;
    for (auto i = first; i < last; ++i) points.push_back({frame.column(series.x[i]), frame.row(series.y[i])});
    picture.polyline(points, colour, points.size() == 1 ? dot_thickness : line_thickness);
  }
}

} // namespace

Colour series_colour(std::size_t index) {
  static constexpr std::array<Colour, 8> colours{{{0, 114, 178},
                                                  {213, 94, 0},
                                                  {0, 158, 115},
                                                  {204, 121, 167},
                                                  {86, 180, 233},
                                                  {230, 159, 0},
                                                  {0, 0, 0},
                                                  {130, 130, 130}}};
  return colours[index % colours.size()];
}

std::vector<std::pair<std::size_t, std::size_t>> unbroken_runs(Series const& series, bool log_y) {
  auto const drawable = [&](std::size_t i) {
    return is_drawable(series.x[i], false) && is_drawable(series.y[i], log_y);
  };
  auto const step = [&](std::size_t i) { return std::abs(series.x[i] - series.x[i - 1]); };
  auto const size = std::min(series.x.size(), series.y.size());
  std::vector<double> steps;
  for (std::size_t i = 1; i < size; ++i)
    if (drawable(i) && drawable(i - 1)) steps.push_back(step(i));
  double longest = 0;
  if (!steps.empty()) {
    auto const middle = steps.begin() + static_cast<std::ptrdiff_t>(steps.size() / 2);
    std::nth_element(steps.begin(), middle, steps.end());
    longest = 5 * *middle;
  }
  std::vector<std::pair<std::size_t, std::size_t>> runs;
  for (std::size_t i = 0; i < size; ++i) {
    if (!drawable(i)) continue;
    bool const joined = !runs.empty() && runs.back().second == i && !(longest > 0 && step(i) > longest);
    if (joined)
      ++runs.back().second;
    else
      runs.emplace_back(i, i + 1);
  }
  return runs;
}

Raster draw(Plot const& plot) {
  auto const frame = lay_out(plot);
  Raster picture(plot.width, plot.height);
  Raster curves(plot.width, plot.height); // only these count as covered, not the grid
  draw_axes(picture, plot, frame);
  for (std::size_t i = 0; i < plot.series.size(); ++i) {
    draw_curve(curves, frame, plot.series[i], black, plot.log_y);
    draw_curve(picture, frame, plot.series[i], plot.series[i].colour.value_or(series_colour(i)), plot.log_y);
  }
  draw_legend(picture, curves, plot, frame.area);
  return picture;
}

} // namespace hyperspectral
