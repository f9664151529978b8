// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "data/envi.hpp"
#include "data/tiff.hpp"
#include "tiff_writer.hpp"

#include <doctest/doctest.h>

using namespace hyperspectral;
using namespace hyperspectral::test;

namespace {

std::string const header = "ENVI\n; remark\nsamples = 3\nlines = 2\nbands = 4\ndata type = 2\ninterleave = bil\n"
                           "byte order = 1\nheader offset = 3\nwavelength units = um\nwavelength = {.4,.5,\n.6,.7}\n"
                           "bbl = {1,1,0,1}\nreflectance scale factor = 10\ndata ignore value = -9999\n";

// Reads or throws DataError; anything else ends the program. Returns whether it read.
template <class Read>
bool survives(Read const& read_file, std::filesystem::path const& path) {
  try {
    auto const cube = read_file(path);
    CHECK(cube.values.size() == cube.bands * cube.lines * cube.samples);
    CHECK(cube.values.size() <= 4096);
    return true;
  } catch (DataError const&) {
    return false;
  }
}

// Writes every truncation and `flips` damaged copies of the bytes: in each a few bytes get new random values.
template <class Read>
void damage(std::string const& bytes, std::filesystem::path const& path, std::size_t flips, Read const& read_file) {
  REQUIRE(survives(read_file, write(path, bytes)));
  for (std::size_t size = 0; size < bytes.size(); ++size) survives(read_file, write(path, bytes.substr(0, size)));
  std::mt19937_64 random(7);
  std::size_t refused = 0;
  for (std::size_t i = 0; i < flips; ++i) {
    auto damaged = bytes;
    for (std::size_t n = 0; n <= i % 3; ++n) damaged[random() % bytes.size()] = static_cast<char>(random());
    refused += survives(read_file, write(path, damaged)) ? 0 : 1;
  }
  MESSAGE(refused << " of " << flips << " damaged files were refused");
  CHECK(refused > 0);
}

} // namespace

TEST_CASE("no damage to an ENVI header crashes the reader") {
  Folder const folder;
  write(folder / "x.raw", std::string(3 + 48, '\1'));
  damage(header, folder / "x.hdr", 2000, [](auto const& path) { return read_envi(path); });
}

TEST_CASE("no damage to a TIFF crashes the reader") {
  for (bool const planar : {false, true}) {
    Folder const folder;
    auto entries = tiff_entries(16, 2, planar);
    entries.push_back({42113, 2, {'-', '9', '9', '9', '9', '\0'}});
    damage(tiff(entries, tiff_pixels<std::int16_t>(planar, planar), planar), folder / "x.tif", 2000,
           [](auto const& path) { return read_tiff(path); });
  }
}
