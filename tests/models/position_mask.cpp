// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/core/error.hpp>
#include <dchag/models/position_mask.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <support/compare.hpp>
#include <support/spaces.hpp>

namespace models_position_mask {

using namespace dchag;
using namespace dchag::test;

TEST_CASE_TEMPLATE("a mask shows a share of each sample's positions, others for every draw", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using Mask = PositionMask<Space, typename Case::T>;
  Mask mask;
  mask.draw(Space(), 3, 100, 0.75, Mask::Loss::hidden, 1, 0);
  CHECK(mask.samples() == 3);
  CHECK(mask.kept() == 25);
  CHECK(mask.positions() == 100);
  auto const visible = flat(mask.visible());
  auto const source = flat(mask.source());
  auto const weight = flat(mask.weight());
  CHECK(std::vector<double>(mask.host_visible(2).begin(), mask.host_visible(2).end()) ==
        std::vector<double>(visible.begin() + 50, visible.end()));
  std::size_t shown = 0;
  for (std::size_t b = 0; b < 3; ++b) {
    for (std::size_t i = 1; i < 25; ++i) CHECK(visible[b * 25 + i - 1] < visible[b * 25 + i]);
    for (std::size_t l = 0; l < 100; ++l) {
      auto const row = static_cast<std::size_t>(source[b * 100 + l]);
      if (row == 75) {
        CHECK(weight[b * 100 + l] == 1);
      } else {
        CHECK(weight[b * 100 + l] == 0);
        CHECK(visible[row] == static_cast<double>(l));
        ++shown;
      }
    }
  }
  CHECK(shown == 75);
  CHECK(std::vector(visible.begin(), visible.begin() + 25) != std::vector(visible.begin() + 25, visible.begin() + 50));

  mask.draw(Space(), 3, 100, 0.75, Mask::Loss::everywhere, 1, 0);
  CHECK(flat(mask.visible()) == visible); // the same draw
  for (double w : flat(mask.weight())) CHECK(w == 1);
  mask.draw(Space(), 3, 100, 0.75, Mask::Loss::hidden, 1, 1);
  CHECK(flat(mask.visible()) != visible);
}

TEST_CASE_TEMPLATE("the masks of parts of a batch are those of the batch", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using Mask = PositionMask<Space, typename Case::T>;
  Mask whole, part;
  whole.draw(Space(), 5, 40, 0.75, Mask::Loss::hidden, 1, 3);
  for (auto const& [first, count] : {std::pair<std::size_t, std::size_t>(0, 2), {2, 3}}) {
    part.draw(Space(), count, 40, 0.75, Mask::Loss::hidden, 1, 3, first);
    for (std::size_t b = 0; b < count; ++b)
      CHECK(std::ranges::equal(part.host_visible(b), whole.host_visible(first + b)));
  }
}

TEST_CASE("every position is shown as often as any other") {
  using Space = Kokkos::DefaultHostExecutionSpace;
  PositionMask<Space, float> mask;
  std::vector<int> shown(20, 0);
  for (std::size_t draw = 0; draw < 400; ++draw) {
    mask.draw(Space(), 1, 20, 0.75, PositionMask<Space, float>::Loss::hidden, 3, draw);
    for (auto l : mask.host_visible(0)) ++shown[l];
  }
  for (int count : shown) CHECK(std::abs(count - 100) < 40); // deviation 8.7
}

TEST_CASE("a mask that hides nothing or everything is refused") {
  using Space = Kokkos::DefaultHostExecutionSpace;
  using Mask = PositionMask<Space, float>;
  Mask mask;
  CHECK_THROWS_WITH_AS(mask.draw(Space(), 1, 10, 1.0, Mask::Loss::hidden, 0, 0),
                       "PositionMask: mask ratio 1, expected 0 <= ratio < 1", ShapeError);
  CHECK_THROWS_WITH_AS(
      mask.draw(Space(), 1, 10, 0.01, Mask::Loss::hidden, 0, 0),
      "PositionMask: mask ratio 0.01 of L = 10 positions hides none, but the loss counts hidden ones only", ShapeError);
  CHECK_THROWS_AS(mask.set(Space(), 4, {{0, 1}, {2}}, Mask::Loss::hidden), ShapeError);
  CHECK_THROWS_AS(mask.set(Space(), 4, {{1, 0}}, Mask::Loss::hidden), ShapeError);
  CHECK_THROWS_AS(mask.set(Space(), 4, {{4}}, Mask::Loss::hidden), ShapeError);
  CHECK_THROWS_AS(mask.set(Space(), 4, {}, Mask::Loss::hidden), ShapeError);
  mask.draw(Space(), 2, 10, 0.99, Mask::Loss::hidden, 0, 0);
  CHECK(mask.kept() == 1); // never none
}

} // namespace models_position_mask
