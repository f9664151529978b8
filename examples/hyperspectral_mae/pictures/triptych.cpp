// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "pictures/triptych.hpp"

#include "pictures/picture_error.hpp"

#include <algorithm>
#include <utility>

namespace hyperspectral {
namespace {

constexpr int panel_target = 300;
constexpr int margin = 16;
constexpr int title_scale = 2;
constexpr int caption_scale = 2;
constexpr int line_skip = 8; // between a picture and its text
constexpr Colour ink{34, 34, 34};
constexpr Colour outline{150, 150, 150}; // else the bright parts of a picture run into the paper

// One factor for the row, so that a pixel is the same size in its three panels.
int enlargement(TriptychRow const& row) {
  int const width = row.panels[0].width();
  return std::max(1, (panel_target + width / 2) / width);
}

int panel_width(TriptychRow const& row) {
  int widest = 0;
  for (auto const& panel : row.panels) widest = std::max(widest, panel.width() * enlargement(row));
  return widest;
}

int panel_height(TriptychRow const& row) {
  int highest = 0;
  for (auto const& panel : row.panels) highest = std::max(highest, panel.height() * enlargement(row));
  return highest;
}

int row_height(TriptychRow const& row) {
  return panel_height(row) + line_skip + text_height(caption_scale) + 4 * caption_scale + margin;
}

// Long captions are set smaller rather than run into their neighbours.
int fitting_scale(std::string const& text, int width, int scale) {
  while (scale > 1 && text_width(text, scale) > width) --scale;
  return scale;
}

} // namespace

Raster mask_patches(Raster picture, std::span<std::uint8_t const> hidden, int patch) {
  bool const tiles = patch > 0 && picture.width() % patch == 0 && picture.height() % patch == 0;
  int const columns = tiles ? picture.width() / patch : 0;
  int const rows = tiles ? picture.height() / patch : 0;
  if (!tiles || hidden.size() != static_cast<std::size_t>(columns) * static_cast<std::size_t>(rows))
    throw PictureError("mask_patches: " + std::to_string(hidden.size()) + " patches of " + std::to_string(patch) +
                       " x " + std::to_string(patch) + " do not tile a picture of " + std::to_string(picture.width()) +
                       " x " + std::to_string(picture.height()));
  for (int row = 0; row < rows; ++row)
    for (int column = 0; column < columns; ++column)
      if (hidden[static_cast<std::size_t>(row * columns + column)])
        picture.fill(column * patch, row * patch, patch, patch, hidden_grey);
  return picture;
}

TriptychRow triptych_row(CubeView const& original, std::span<std::uint8_t const> hidden, int patch,
                         CubeView const& reconstructed, Bands const& bands) {
  auto const stretch = percentile_stretch(original, bands);
  auto picture = false_colour(original, bands, stretch);
  auto masked = mask_patches(picture, hidden, patch);
  return {{std::move(picture), std::move(masked), false_colour(reconstructed, bands, stretch)}};
}

Raster triptych(std::span<TriptychRow const> rows, std::string const& title) {
  if (rows.empty()) throw PictureError("triptych: there are no rows");
  int column = 0;
  int height = margin + (title.empty() ? 0 : text_height(title_scale) + margin);
  for (auto const& row : rows) {
    column = std::max(column, panel_width(row));
    height += row_height(row);
  }
  int const width = margin + 3 * (column + margin);
  Raster figure(width, height);

  int y = margin;
  if (!title.empty()) {
    int const scale = fitting_scale(title, width - 2 * margin, title_scale);
    figure.text((width - text_width(title, scale)) / 2, y, title, ink, scale);
    y += text_height(title_scale) + margin;
  }
  for (auto const& row : rows) {
    int const factor = enlargement(row);
    for (int i = 0; i < 3; ++i) {
      auto const& panel = row.panels[static_cast<std::size_t>(i)];
      auto const& caption = row.captions[static_cast<std::size_t>(i)];
      int const left = margin + i * (column + margin);
      int const inset = (column - panel.width() * factor) / 2;
      figure.frame(left + inset - 1, y - 1, panel.width() * factor + 2, panel.height() * factor + 2, outline);
      figure.blit(panel, left + inset, y, factor);
      int const scale = fitting_scale(caption, column, caption_scale);
      figure.text(left + (column - text_width(caption, scale)) / 2, y + panel_height(row) + line_skip, caption, ink,
                  scale);
    }
    y += row_height(row);
  }
  return figure;
}

} // namespace hyperspectral
