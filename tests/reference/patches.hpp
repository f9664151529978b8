// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <reference/array.hpp>

namespace dchag::reference {

/// How an image (B, planes, H, W) is cut: the plane of each channel, and the positions read of each sample.
struct Cut {
  std::size_t patch;
  std::vector<std::size_t> planes;
  std::vector<std::vector<std::size_t>> positions;
};

/// All planes and all positions.
inline Cut whole(Array<4> const& image, std::size_t patch) {
  auto const [B, planes, H, W] = image.extents;
  Cut cut{patch, {}, {}};
  for (std::size_t c = 0; c < planes; ++c) cut.planes.push_back(c);
  cut.positions.resize(B);
  for (auto& sample : cut.positions)
    for (std::size_t l = 0; l < (H / patch) * (W / patch); ++l) sample.push_back(l);
  return cut;
}

/// Calls f(c, n, k, b, plane, row, column) for every pixel that is read.
template <class F>
void for_each_pixel(Cut const& cut, std::size_t image_width, F const& f) {
  std::size_t const p = cut.patch;
  for (std::size_t c = 0; c < cut.planes.size(); ++c) {
    std::size_t n = 0;
    for (std::size_t b = 0; b < cut.positions.size(); ++b) {
      for (std::size_t l : cut.positions[b]) {
        std::size_t const patch_row = l / (image_width / p);
        std::size_t const patch_column = l - patch_row * (image_width / p);
        for (std::size_t i = 0; i < p; ++i)
          for (std::size_t j = 0; j < p; ++j)
            f(c, n, i * p + j, b, cut.planes[c], patch_row * p + i, patch_column * p + j);
        ++n;
      }
    }
  }
}

/// (C, N, s).
inline Array<3> gather_patches(Array<4> const& image, Cut const& cut) {
  std::size_t N = 0;
  for (auto const& sample : cut.positions) N += sample.size();
  Array<3> out({cut.planes.size(), N, cut.patch * cut.patch});
  for_each_pixel(cut, image.extents[3],
                 [&](std::size_t c, std::size_t n, std::size_t k, std::size_t b, std::size_t plane, std::size_t row,
                     std::size_t column) { out(c, n, k) = image(b, plane, row, column); });
  return out;
}

/// Overwrites the pixels that are read.
inline void scatter_patches(Array<3> const& patches, Cut const& cut, Array<4>& image) {
  for_each_pixel(cut, image.extents[3],
                 [&](std::size_t c, std::size_t n, std::size_t k, std::size_t b, std::size_t plane, std::size_t row,
                     std::size_t column) { image(b, plane, row, column) = patches(c, n, k); });
}

} // namespace dchag::reference
