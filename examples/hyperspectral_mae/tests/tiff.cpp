// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "data/tiff.hpp"

#include "data/envi.hpp"
#include "data/read.hpp"
#include "tiff_writer.hpp"

#include <doctest/doctest.h>

using namespace hyperspectral;
using namespace hyperspectral::test;

namespace {

template <class Number>
void check_every_order(std::uint32_t format) {
  for (bool const planar : {false, true}) {
    for (bool const big_endian : {false, true}) {
      CAPTURE(format);
      CAPTURE(sizeof(Number));
      CAPTURE(planar);
      CAPTURE(big_endian);
      Folder const folder;
      auto const entries = tiff_entries(8 * sizeof(Number), format, planar);
      auto const cube =
          read_tiff(write(folder / "x.tif", tiff(entries, tiff_pixels<Number>(planar, big_endian), big_endian)));
      CHECK(cube.lines == 4);
      CHECK(cube.samples == 3);
      CHECK(cube.bands == 2);
      CHECK(cube.wavelengths.empty());
      for (std::size_t i = 0; i < 24; ++i) CHECK(cube.values[i] == float(i + 1));
    }
  }
}

// The entries with one of them replaced, or added.
std::vector<TiffEntry> with(TiffEntry const& entry) {
  auto entries = tiff_entries(16, 2, false);
  auto const old = std::ranges::find(entries, entry.tag, &TiffEntry::tag);
  old == entries.end() ? entries.push_back(entry) : void(*old = entry);
  return entries;
}

std::string message(std::string const& bytes) {
  Folder const folder;
  return message_of([path = write(folder / "x.tif", bytes)] { read_tiff(path); });
}

std::string message_with(TiffEntry const& entry) {
  return message(tiff(with(entry), tiff_pixels<std::int16_t>(false, false)));
}

} // namespace

TEST_CASE("every sample format, configuration and byte order") {
  check_every_order<std::uint8_t>(1);
  check_every_order<std::uint16_t>(1);
  check_every_order<std::uint32_t>(1);
  check_every_order<std::int8_t>(2);
  check_every_order<std::int16_t>(2);
  check_every_order<std::int32_t>(2);
  check_every_order<float>(3);
  check_every_order<double>(3);
}

TEST_CASE("GDAL's nodata entry") {
  Folder const folder;
  auto const entries = with({42113, 2, {'1', '2', '\0'}});
  auto const cube = read_tiff(write(folder / "x.tif", tiff(entries, tiff_pixels<std::int16_t>(false, false))));
  CHECK(cube.filled == 1);
  CHECK(cube.at(0, 3, 2) == 6); // the mean of 1 to 11
}

TEST_CASE("what is not read is refused by name") {
  CHECK(contains(message_with({322, 3, {16}}), "tiles"));
  CHECK(contains(message_with({259, 3, {5}}), "compression scheme 5"));
  CHECK(contains(message_with({258, 3, {12, 12}}), "12 bits of sample format 2"));
  CHECK(contains(message_with({258, 3, {8, 16}}), "tag 258 is 8 for band 0 and 16 for band 1"));
  CHECK(contains(message_with({339, 3, {6, 6}}), "sample format 6"));
  CHECK(contains(message_with({284, 3, {3}}), "planar configuration is 3"));
  CHECK(contains(message_with({257, 3, {0}}), "0 lines x 3 samples x 2 bands"));
  CHECK(contains(message_with({278, 3, {0}}), "0 rows per strip"));
  CHECK(contains(message_with({278, 3, {1}}), "2 strips, expected 4"));
  CHECK(contains(message_with({279, 4, {36, 11}}), "strip 1 has 11 bytes, expected 12"));
  CHECK(contains(message_with({273, 4, {8, 4000000000}}), "truncated, expected 12 bytes at offset 4000000000"));
  CHECK(contains(message_with({256, 4, {4294967295}}), "truncated, expected 68719476720 bytes"));
  CHECK(contains(message_with({42113, 2, {'n', 'o', 'n', 'e', '\0'}}), "'none' is no number"));
  auto const entries = tiff_entries(16, 2, false);
  CHECK(contains(message(tiff(entries, {}, false, 43)), "BigTIFF"));
  CHECK(contains(message("no picture"), "no TIFF file"));
}

TEST_CASE("a folder, a list and single paths") {
  Folder const folder;
  auto const file = tiff(tiff_entries(16, 2, false), tiff_pixels<std::int16_t>(false, false));
  CHECK(contains(message_of([&] { list_cubes({folder.path()}); }), "no cube in this folder"));
  write(folder / "notes.md", "nothing");
  CHECK(contains(message_of([&] { list_cubes({folder.path()}); }), "its 1 entries"));
  auto const c = write(folder / "c.tif", file);
  auto const a = write(folder / "a.TIF", file);
  auto const data = write(folder / "b.raw", std::string(6, '1'));
  auto const b = write(folder / "b.hdr", "ENVI\nsamples=1\nlines=2\nbands=3\ndata type=1\ninterleave=bip\n");
  write(folder / "arc.hdr", "BYTEORDER I\n");
  write(folder / "fake.tif", "nothing");
  auto const list = write(folder / "cubes.txt", "# two of them\nc.tif\n\n  a.TIF # first by name\n");
  using Paths = std::vector<std::filesystem::path>;
  CHECK(list_cubes({folder.path()}) == Paths{a, b, c});
  CHECK(list_cubes({list}) == Paths{a, c});
  CHECK(list_cubes({c, list, b}) == Paths{a, b, c});
  CHECK(contains(message_of([&] { list_cubes({folder / "nowhere"}); }), "no such file or folder"));
  CHECK(
      contains(message_of([&] { list_cubes({write(folder / "bad.lst", "c.tif\nz.tif\n")}); }), "line 2 names 'z.tif'"));
  CHECK(contains(message_of([&] { list_cubes({write(folder / "none.lst", "#\n")}); }), "list of 1 lines"));
  CHECK(contains(message_of([] { list_cubes({}); }), "no cube was named"));
  CHECK(read_cube(c).bands == 2);
  CHECK(read_cube(b).bands == 3);
  CHECK(read_cube(data).bands == 3);
  CHECK(contains(message_of([&] { read_cube(folder / "notes.md"); }), "neither a TIFF nor"));
}

TEST_CASE("an airborne tile through both readers") {
  auto const path = real_data("hyperspectral/neon_tree_crowns/OSBS_2.tif");
  if (!path) return;
  auto const tile = read_cube(*path);
  CHECK(tile.lines == 20);
  CHECK(tile.samples == 20);
  CHECK(tile.bands == 369);
  Folder const folder;
  std::filesystem::copy_file(*path, folder / "tile.tif");
  auto const header = write(folder / "tile.hdr", "ENVI\nsamples=20\nlines=20\nbands=369\nheader offset=2744\n"
                                                 "data type=2\ninterleave=bip\nbyte order=0\n");
  CHECK(read_envi(header).values == tile.values);
  CHECK(list_cubes({folder.path()}) == std::vector{header});
}
