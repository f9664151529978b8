// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "data/baselines.hpp"

#include "data/error.hpp"

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

namespace hyperspectral {

namespace {

/// The places of an image's patches.
class Patches {
public:
  Patches(Image const& image, std::size_t edge, std::span<std::size_t const> visible)
      : m_image(image), m_edge(edge), m_across(edge == 0 ? 0 : image.samples / edge) {
    if (edge == 0 || image.lines % edge != 0 || image.samples % edge != 0) {
      fail("baseline: image of ", image.lines, " x ", image.samples, " pixels is no multiple of patches of edge ",
           edge);
    }
    m_visible.resize(image.lines / edge * m_across);
    for (auto const place : visible) {
      if (place >= m_visible.size()) fail("baseline: visible patch ", place, ", expected below ", m_visible.size());
      m_visible[place] = true;
    }
    if (visible.empty()) fail("baseline: none of ", m_visible.size(), " patches is visible");
  }

  std::size_t count() const { return m_visible.size(); }
  bool is_visible(std::size_t place) const { return m_visible[place]; }

  /// Where pixel i of a patch is in the values of channel 0.
  std::size_t pixel(std::size_t place, std::size_t i) const {
    auto const line = place / m_across * m_edge + i / m_edge;
    return line * m_image.samples + place % m_across * m_edge + i % m_edge;
  }

  double squared_distance(std::size_t a, std::size_t b) const {
    auto const lines = static_cast<double>(a / m_across) - static_cast<double>(b / m_across);
    auto const samples = static_cast<double>(a % m_across) - static_cast<double>(b % m_across);
    return lines * lines + samples * samples;
  }

private:
  Image const& m_image;
  std::size_t m_edge;
  std::size_t m_across;
  std::vector<bool> m_visible;
};

// The mean squared error over the patches that are not visible.
double hidden_error(Image const& image, Image const& filled, Patches const& patches, std::size_t pixels_per_patch) {
  double sum = 0;
  std::size_t terms = 0;
  for (std::size_t place = 0; place < patches.count(); ++place) {
    if (patches.is_visible(place)) continue;
    for (std::size_t c = 0; c < image.channels; ++c) {
      for (std::size_t i = 0; i < pixels_per_patch; ++i) {
        auto const at = c * image.pixels() + patches.pixel(place, i);
        auto const error = static_cast<double>(filled.values[at]) - static_cast<double>(image.values[at]);
        sum += error * error;
      }
    }
    terms += image.channels * pixels_per_patch;
  }
  return terms == 0 ? 0 : sum / static_cast<double>(terms);
}

} // namespace

Filled fill_with_mean(Image const& image, std::size_t edge, std::span<std::size_t const> visible) {
  Patches const patches(image, edge, visible);
  Filled filled{image, 0};
  for (std::size_t c = 0; c < image.channels; ++c) {
    auto const first = c * image.pixels();
    double sum = 0;
    for (auto const place : visible) {
      for (std::size_t i = 0; i < edge * edge; ++i) {
        sum += static_cast<double>(image.values[first + patches.pixel(place, i)]);
      }
    }
    auto const mean = static_cast<float>(sum / static_cast<double>(visible.size() * edge * edge));
    for (std::size_t place = 0; place < patches.count(); ++place) {
      if (patches.is_visible(place)) continue;
      for (std::size_t i = 0; i < edge * edge; ++i) filled.image.values[first + patches.pixel(place, i)] = mean;
    }
  }
  filled.mse = hidden_error(image, filled.image, patches, edge * edge);
  return filled;
}

Filled fill_by_distance(Image const& image, std::size_t edge, std::span<std::size_t const> visible, double power) {
  Patches const patches(image, edge, visible);
  Filled filled{image, 0};
  std::size_t const pixels = edge * edge;
  std::vector<float> known; // the visible patches, (C, visible, pixels)
  known.reserve(image.channels * visible.size() * pixels);
  for (std::size_t c = 0; c < image.channels; ++c)
    for (auto const place : visible)
      for (std::size_t i = 0; i < pixels; ++i)
        known.push_back(image.values[c * image.pixels() + patches.pixel(place, i)]);
  std::vector<std::size_t> hidden;
  for (std::size_t place = 0; place < patches.count(); ++place)
    if (!patches.is_visible(place)) hidden.push_back(place);

  constexpr std::size_t together = 16; // hidden patches, so that a channel stays in cache for all of them
  std::vector<double> weights(together * visible.size());
  std::vector<double> totals(together);
  std::vector<double> sums(pixels);
  for (std::size_t first = 0; first < hidden.size(); first += together) {
    auto const places = std::span(hidden).subspan(first, std::min(together, hidden.size() - first));
    for (std::size_t q = 0; q < places.size(); ++q) {
      totals[q] = 0;
      for (std::size_t v = 0; v < visible.size(); ++v) {
        auto& weight = weights[q * visible.size() + v];
        weight = std::pow(patches.squared_distance(places[q], visible[v]), -power / 2);
        totals[q] += weight;
      }
    }
    for (std::size_t c = 0; c < image.channels; ++c) {
      float const* const channel = known.data() + c * visible.size() * pixels;
      for (std::size_t q = 0; q < places.size(); ++q) {
        std::ranges::fill(sums, 0.0);
        for (std::size_t v = 0; v < visible.size(); ++v) {
          auto const weight = weights[q * visible.size() + v];
          for (std::size_t i = 0; i < pixels; ++i) sums[i] += weight * static_cast<double>(channel[v * pixels + i]);
        }
        for (std::size_t i = 0; i < pixels; ++i)
          filled.image.values[c * image.pixels() + patches.pixel(places[q], i)] =
              static_cast<float>(sums[i] / totals[q]);
      }
    }
  }
  filled.mse = hidden_error(image, filled.image, patches, edge * edge);
  return filled;
}

} // namespace hyperspectral
