// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "data/baselines.hpp"

#include "data/dataset.hpp"
#include "data/random.hpp"
#include "files.hpp"

#include <doctest/doctest.h>

#include <numeric>

using namespace hyperspectral;
using namespace hyperspectral::test;

namespace {

std::vector<std::size_t> a_quarter_of(std::size_t patches, std::uint64_t seed) {
  std::vector<std::size_t> order(patches);
  std::iota(order.begin(), order.end(), std::size_t{0});
  Random random{seed};
  for (std::size_t i = patches - 1; i > 0; --i) std::swap(order[i], order[random.below(i + 1)]);
  order.resize(patches / 4);
  return order;
}

struct Scores {
  double mean = 0;
  double distance = 0;
};

// Masked errors with three quarters of the patches hidden, over all images of a part and a few masks each.
Scores score(Dataset const& data, Split split, std::size_t edge) {
  Scores scores;
  auto const masks = 3;
  auto const terms = static_cast<double>(data.size(split) * masks);
  for (std::size_t i = 0; i < data.size(split); ++i) {
    auto const image = data.whole(split, i, edge);
    for (std::uint64_t m = 0; m < masks; ++m) {
      auto const visible = a_quarter_of(image.pixels() / (edge * edge), masks * i + m);
      scores.mean += fill_with_mean(image, edge, visible).mse / terms;
      scores.distance += fill_by_distance(image, edge, visible).mse / terms;
    }
  }
  return scores;
}

} // namespace

TEST_CASE("by hand: three patches of 1 x 2 x 2 in a row, the middle one hidden") {
  Image const image{1, 2, 6, {1, 2, 0, 0, 5, 6, 3, 4, 0, 0, 7, 8}};
  std::vector<std::size_t> const visible{0, 2};
  auto const mean = fill_with_mean(image, 2, visible);
  CHECK(mean.image.values == std::vector<float>{1, 2, 4.5, 4.5, 5, 6, 3, 4, 4.5, 4.5, 7, 8});
  CHECK(mean.mse == doctest::Approx(4.5 * 4.5));
  auto const distance = fill_by_distance(image, 2, visible);
  CHECK(distance.image.values == std::vector<float>{1, 2, 3, 4, 5, 6, 3, 4, 5, 6, 7, 8});
  CHECK(distance.mse == doctest::Approx((9 + 16 + 25 + 36) / 4.0));
}

TEST_CASE("weights fall with the chosen power of the distance") {
  Image const image{2, 1, 4, {8, 0, 0, 80, 1, 0, 0, 1}};
  std::vector<std::size_t> const visible{0, 3};
  auto const filled = fill_by_distance(image, 1, visible, 1).image.values; // weights 1 and 1/2
  CHECK(filled[1] == doctest::Approx((8 + 40) / 1.5));
  CHECK(filled[2] == doctest::Approx((4 + 80) / 1.5));
  CHECK(filled[5] == doctest::Approx(1));
  CHECK(fill_by_distance(image, 1, visible).image.values[1] == doctest::Approx((8 + 80 / 8.0) / 1.125));
  std::vector<std::size_t> const all{0, 1, 2, 3};
  CHECK(fill_by_distance(image, 1, all).mse == 0);
}

TEST_CASE("what cannot be filled") {
  Image const image{1, 2, 2, {1, 2, 3, 4}};
  std::vector<std::size_t> const first{0};
  std::vector<std::size_t> const beyond{4};
  CHECK(contains(message_of([&] { fill_with_mean(image, 3, first); }), "2 x 2 pixels is no multiple"));
  CHECK(contains(message_of([&] { fill_with_mean(image, 0, first); }), "patches of edge 0"));
  CHECK(contains(message_of([&] { fill_by_distance(image, 1, beyond); }), "patch 4, expected below 4"));
  CHECK(contains(message_of([&] { fill_by_distance(image, 1, {}); }), "none of 4 patches is visible"));
}

TEST_CASE("made-up scenes are hard to interpolate") {
  Dataset const data(StreamOptions{.scene = {.lines = 20, .samples = 20, .bands = 16}});
  auto const scores = score(data, Split::test, 2);
  MESSAGE("masked error of the mean " << scores.mean << ", by distance " << scores.distance);
  CHECK(scores.distance < scores.mean);
  CHECK(scores.distance > 0.5);
}

TEST_CASE("airborne tiles") {
  auto const folder = real_data("hyperspectral/neon_tree_crowns");
  if (!folder) return;
  Dataset const data(read_cubes({*folder}), {.test_count = 10});
  CHECK(data.size(Split::train) == 38);
  CHECK(data.channels() == 369);
  // Which tiles are held out matters much; over the training tiles the figures are steady.
  auto const scores = score(data, Split::train, 2);
  MESSAGE("masked error of the mean " << scores.mean << ", by distance " << scores.distance);
  CHECK(scores.mean == doctest::Approx(0.61).epsilon(0.05));
  CHECK(scores.distance == doctest::Approx(0.47).epsilon(0.05));
}
