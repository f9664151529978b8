// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/ops/patches.hpp>

#include <reference/patches.hpp>
#include <support/arrays.hpp>
#include <support/spaces.hpp>

namespace ops_patches {

using namespace dchag;
using namespace dchag::test;

namespace {

template <class Space, class T, class Layout>
using Image = Kokkos::View<T****, Layout, typename Space::memory_space>;

/// Copies between a view of any layout and row-major numbers.
template <class View>
void write_image(View const& view, reference::Array<4> const& values) {
  auto const host = Kokkos::create_mirror_view(view);
  auto const [B, planes, H, W] = values.extents;
  for (std::size_t b = 0; b < B; ++b)
    for (std::size_t plane = 0; plane < planes; ++plane)
      for (std::size_t row = 0; row < H; ++row)
        for (std::size_t column = 0; column < W; ++column)
          host(b, plane, row, column) = static_cast<typename View::value_type>(values(b, plane, row, column));
  Kokkos::deep_copy(view, host);
}
template <class View>
reference::Array<4> read_image(View const& view) {
  auto const host = Kokkos::create_mirror_view(view);
  Kokkos::deep_copy(host, view);
  reference::Array<4> values(extents_of(view));
  auto const [B, planes, H, W] = values.extents;
  for (std::size_t b = 0; b < B; ++b)
    for (std::size_t plane = 0; plane < planes; ++plane)
      for (std::size_t row = 0; row < H; ++row)
        for (std::size_t column = 0; column < W; ++column)
          values(b, plane, row, column) = static_cast<double>(host(b, plane, row, column));
  return values;
}

template <class Space>
struct Lists {
  Tensor<Space, std::size_t, 1> planes;
  Tensor<Space, std::size_t, 2> positions;
};

template <class View, class Space>
auto patches_of(Space const&, View const& image, std::size_t p, Lists<Space> const& lists) {
  return ops::Patches<View, typename Space::memory_space>{image, p, lists.planes, lists.positions};
}

/// The image `view` shows is `whole` shifted by `offset` rows and columns; everything of `whole` is compared.
template <class Space, class T, class Whole, class View>
void check_patches(Space const& exec, Whole const& whole, View const& view, std::size_t offset, std::size_t p,
                   Lists<Space> const& lists, reference::Cut cut) {
  auto image = read_image(whole);
  auto const random = array_of(random_tensor<T>(exec, 1, "image", image.extents));
  write_image(whole, random);
  reference::Array<4> seen(extents_of(view));
  auto const [B, planes, H, W] = seen.extents;
  auto const all = reference::whole(seen, p);
  if (cut.planes.empty()) cut.planes = all.planes;
  if (cut.positions.empty()) cut.positions = all.positions;
  for (std::size_t b = 0; b < B; ++b)
    for (std::size_t c = 0; c < planes; ++c)
      for (std::size_t row = 0; row < H; ++row)
        for (std::size_t column = 0; column < W; ++column)
          seen(b, c, row, column) = random(b, c, row + offset, column + offset);

  auto const patches = patches_of(exec, view, p, lists);
  auto const expected = reference::gather_patches(seen, cut);
  REQUIRE(patches.channels() == expected.extents[0]);
  REQUIRE(patches.count() == expected.extents[1]);
  REQUIRE(patches.pixels() == expected.extents[2]);
  auto const out = filled_tensor<T>(exec, {patches.channels(), patches.count(), patches.pixels()}, nan_value);
  ops::gather_patches(exec, patches, out);
  exec.fence();
  CHECK(relative_error(out, expected.values) == 0);

  // the adjoint: <y, gather x> = <scatter y, x>, and pixels that were not read stay as they are
  auto const y = random_tensor<T>(exec, 1, "y", {patches.channels(), patches.count(), patches.pixels()});
  Kokkos::deep_copy(whole, T(0));
  ops::scatter_patches(exec, y, patches);
  exec.fence();
  CHECK(relative_difference(dot(flat(y), flat(out)), dot(read_image(whole).values, random.values)) < 1e-12);

  write_image(whole, random);
  ops::scatter_patches(exec, y, patches);
  exec.fence();
  reference::scatter_patches(array_of(y), cut, seen);
  auto scattered = random;
  for (std::size_t b = 0; b < B; ++b)
    for (std::size_t c = 0; c < planes; ++c)
      for (std::size_t row = 0; row < H; ++row)
        for (std::size_t column = 0; column < W; ++column)
          scattered(b, c, row + offset, column + offset) = seen(b, c, row, column);
  CHECK(relative_error(read_image(whole).values, scattered.values) == 0);
}

/// An image of 3 samples, 5 planes, 6 by 4 patches, with and without a selection of planes and of positions.
template <class Space, class T, class Whole, class View>
void check_selections(Space const& exec, Whole const& whole, View const& view, std::size_t offset, std::size_t p) {
  CAPTURE(p);
  std::vector<std::size_t> const planes{4, 0, 2};
  std::vector<std::vector<std::size_t>> const positions{{23, 0, 5, 4}, {1, 2, 3, 22}, {7, 6, 12, 18}};
  auto const plane_list = index_tensor(exec, planes);
  auto const position_list = allocate<std::size_t>(exec, "dchag::test::positions", Extents<2>{3, 4});
  exec.fence();
  auto const host = to_host(position_list);
  for (std::size_t b = 0; b < 3; ++b)
    for (std::size_t i = 0; i < 4; ++i) host(b, i) = positions[b][i];
  Kokkos::deep_copy(position_list, host);
  check_patches<Space, T>(exec, whole, view, offset, p, Lists<Space>{}, {p, {}, {}});
  check_patches<Space, T>(exec, whole, view, offset, p, Lists<Space>{plane_list, {}}, {p, planes, {}});
  check_patches<Space, T>(exec, whole, view, offset, p, Lists<Space>{{}, position_list}, {p, {}, positions});
  check_patches<Space, T>(exec, whole, view, offset, p, Lists<Space>{plane_list, position_list},
                          {p, planes, positions});
}

} // namespace

TEST_CASE_TEMPLATE("patches are gathered from images of every layout, and scattered back by the adjoint", Case,
                   DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Space const exec;
  for (std::size_t const p : {1u, 2u, 3u, 8u}) {
    Image<Space, T, Kokkos::LayoutRight> const right("dchag::test::image", 3, 5, 6 * p, 4 * p);
    check_selections<Space, T>(exec, right, right, 0, p);
    Image<Space, T, Kokkos::LayoutLeft> const left("dchag::test::image", 3, 5, 6 * p, 4 * p);
    check_selections<Space, T>(exec, left, left, 0, p);
    Image<Space, T, Kokkos::LayoutRight> const around("dchag::test::image", 3, 5, 6 * p + 2, 4 * p + 2);
    auto const inside =
        Kokkos::subview(around, Kokkos::ALL, Kokkos::ALL, std::pair<std::size_t, std::size_t>(1, 6 * p + 1),
                        std::pair<std::size_t, std::size_t>(1, 4 * p + 1));
    check_selections<Space, T>(exec, around, inside, 1, p);
  }
}

TEST_CASE_TEMPLATE("patches: wrong shapes are errors", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Space const exec;
  Image<Space, T, Kokkos::LayoutRight> const image("dchag::test::image", 2, 3, 4, 6);
  auto const patches = patches_of(exec, image, 2, Lists<Space>{});
  auto const out = filled_tensor<T>(exec, {3, 11, 4}, 0);
  CHECK_THROWS_WITH_AS(ops::gather_patches(exec, patches, out),
                       "gather_patches: out is (3, 11, 4), expected (3, 12, 4)", ShapeError);
  CHECK_THROWS_WITH_AS(ops::scatter_patches(exec, out, patches),
                       "scatter_patches: d_tokens is (3, 11, 4), expected (3, 12, 4)", ShapeError);
}

} // namespace ops_patches
