// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "pictures/legend.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

namespace hyperspectral {
namespace {

constexpr int scale = 2;
constexpr int legend_padding = 10;
constexpr int sample_width = 28;
constexpr int sample_gap = 12;
constexpr double sample_thickness = 3;
constexpr int legend_line = 22;
constexpr int legend_distance = 12; // from the axes
constexpr Colour ink{34, 34, 34};
constexpr Colour border{222, 222, 222};

Area legend_size(Plot const& plot) {
  Area legend;
  int lines = 0;
  int widest = 0;
  for (auto const& series : plot.series) {
    if (series.name.empty()) continue;
    ++lines;
    widest = std::max(widest, text_width(series.name, scale));
  }
  if (lines == 0) return legend;
  legend.width = 2 * legend_padding + sample_width + sample_gap + widest;
  legend.height = 2 * legend_padding + lines * legend_line - (legend_line - text_height(scale));
  return legend;
}

// Summed areas: the number of pixels with ink in any rectangle takes four look-ups.
class InkCount {
public:
  InkCount(Raster const& curves)
      : m_width(curves.width() + 1),
        m_sums(static_cast<std::size_t>(m_width) * static_cast<std::size_t>(curves.height() + 1)) {
    for (int y = 0; y < curves.height(); ++y)
      for (int x = 0; x < curves.width(); ++x)
        m_sums[place(x + 1, y + 1)] = m_sums[place(x, y + 1)] + m_sums[place(x + 1, y)] - m_sums[place(x, y)] +
                                      (curves.at(x, y) == white ? 0 : 1);
  }
  long in(Area const& a) const {
    return m_sums[place(a.left + a.width, a.top + a.height)] - m_sums[place(a.left, a.top + a.height)] -
           m_sums[place(a.left + a.width, a.top)] + m_sums[place(a.left, a.top)];
  }

private:
  std::size_t place(int x, int y) const { return static_cast<std::size_t>(y * m_width + x); }
  int m_width;
  std::vector<long> m_sums;
};

// The place with the least ink under it, and of those the one nearest to a corner, the top right one first.
void place_legend(Area& legend, Raster const& curves, Area const& area) {
  InkCount const ink_count(curves);
  int const across = area.width - legend.width - 2 * legend_distance;
  int const down = area.height - legend.height - 2 * legend_distance;
  legend.left = area.right() - legend_distance - legend.width;
  legend.top = area.top + legend_distance;
  if (across < 0 || down < 0) return; // it does not fit; its right end is the better one to show
  std::pair<long, int> best{-1, 0};
  for (int y = 0; y <= down; y += 4)
    for (int x = 0; x <= across; x += 4) {
      Area const here{area.left + legend_distance + across - x, area.top + legend_distance + y, legend.width,
                      legend.height};
      std::pair<long, int> const cost{ink_count.in(here), std::min(x, across - x) + std::min(y, down - y)};
      if (best.first >= 0 && cost >= best) continue;
      best = cost;
      legend = here;
    }
}

} // namespace

void draw_legend(Raster& picture, Raster const& curves, Plot const& plot, Area const& area) {
  auto legend = legend_size(plot);
  if (legend.width == 0) return;
  place_legend(legend, curves, area);
  for (int y = legend.top; y < legend.top + legend.height; ++y)
    for (int x = legend.left; x < legend.left + legend.width; ++x) picture.blend(x, y, white, 0.85);
  picture.frame(legend.left, legend.top, legend.width, legend.height, border);
  int y = legend.top + legend_padding;
  for (std::size_t i = 0; i < plot.series.size(); ++i) {
    if (plot.series[i].name.empty()) continue;
    double const middle = y + text_height(scale) / 2; // a whole number keeps the sample crisp
    double const left = legend.left + legend_padding;
    picture.line({left, middle}, {left + sample_width, middle}, plot.series[i].colour.value_or(series_colour(i)),
                 sample_thickness);
    picture.text(legend.left + legend_padding + sample_width + sample_gap, y, plot.series[i].name, ink, scale);
    y += legend_line;
  }
}

} // namespace hyperspectral
