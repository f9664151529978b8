// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "pictures/axis.hpp"
#include "pictures/curve_writer.hpp"
#include "pictures/false_colour.hpp"
#include "pictures/picture_error.hpp"
#include "pictures/plot.hpp"
#include "pictures/png_file.hpp"
#include "pictures/triptych.hpp"

#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <numeric>
#include <png.h>
#include <sstream>
#include <string>
#include <sys/resource.h>
#include <unistd.h>
#include <vector>

namespace fs = std::filesystem;
using namespace hyperspectral;

namespace {

double const not_a_number = std::numeric_limits<double>::quiet_NaN();

// A folder of this test, gone at its end.
struct Folder {
  fs::path path = fs::temp_directory_path() / ("pictures_test-" + std::to_string(::getpid()));
  Folder() { fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
  auto files() const { return std::distance(fs::directory_iterator(path), fs::directory_iterator()); }
};

// A disk that is full after `bytes`: the system then refuses to let a file grow.
struct SmallDisk {
  rlimit before{};
  SmallDisk(rlim_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before);
    rlimit const small{bytes, before.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &small);
  }
  ~SmallDisk() { ::setrlimit(RLIMIT_FSIZE, &before); }
};

template <class Action>
std::string error_of(Action const& action) {
  try {
    action();
  } catch (PictureError const& error) {
    return error.what();
  }
  return "no error";
}

std::string contents(fs::path const& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

bool contains(std::string const& text, std::string const& part) {
  return text.find(part) != std::string::npos;
}

int count(Raster const& raster, Colour colour) {
  int n = 0;
  for (int y = 0; y < raster.height(); ++y)
    for (int x = 0; x < raster.width(); ++x) n += raster.at(x, y) == colour;
  return n;
}

} // namespace

TEST_CASE("Raster draws where it is told and cuts off the rest") {
  Raster raster(4, 3);
  CHECK(count(raster, white) == 12);
  raster.set(3, 2, {1, 2, 3});
  raster.set(4, 2, black);
  raster.set(-1, 0, black);
  CHECK(raster.at(3, 2) == Colour{1, 2, 3});
  CHECK(count(raster, white) == 11);
  raster.fill(-5, 1, 7, 100, black);
  CHECK(count(raster, black) == 4);
  CHECK(raster.at(1, 1) == black);
  CHECK(raster.at(2, 1) == white);
  CHECK_THROWS_AS(raster.at(4, 0), PictureError);
  CHECK_THROWS_AS(Raster(0, 3), PictureError);

  Raster small(2, 1);
  small.set(1, 0, {9, 9, 9});
  Raster large(7, 4);
  large.blit(small, 1, 0, 3);
  CHECK(count(large, {9, 9, 9}) == 9);
  CHECK(large.at(4, 0) == Colour{9, 9, 9});
  CHECK(large.at(6, 2) == Colour{9, 9, 9});
  CHECK(large.at(3, 0) == white);
  CHECK_THROWS_AS(large.blit(small, 0, 0, 0), PictureError);
}

TEST_CASE("Raster lines cover what they should and survive any coordinate") {
  Raster raster(9, 9);
  raster.line({1, 4}, {7, 4}, black, 1);
  for (int x = 1; x <= 7; ++x) CHECK(raster.at(x, 4) == black);
  CHECK(count(raster, black) == 7);
  raster.fill(white);
  raster.line({0, 0.5}, {8, 0.5}, black, 1); // half in each of two rows
  CHECK(raster.at(4, 0) == raster.at(4, 1));
  CHECK(std::abs(raster.at(4, 0).red - 128) <= 1);
  raster.fill(white);
  raster.line({not_a_number, 0}, {8, 8}, black);
  raster.line({-1e300, 20}, {1e300, 20}, black);
  CHECK(count(raster, white) >= 80); // of the first line its finite end may remain
}

TEST_CASE("Raster text has the glyphs of its letters") {
  Raster raster(20, 12);
  raster.text(0, 0, "I", black);
  CHECK(count(raster, black) == 11); // two serifs of three dots and a stem of five
  CHECK(raster.at(2, 3) == black);
  CHECK(raster.at(0, 0) == white);
  raster.fill(white);
  raster.text_upwards(0, 11, "L", black); // its foot, at the right now, points up
  for (int y = 7; y <= 11; ++y) CHECK(raster.at(6, y) == black);
  for (int x = 0; x <= 6; ++x) CHECK(raster.at(x, 11) == black);
  CHECK(count(raster, black) == 11);
  raster.fill(white);
  raster.text(0, 0, "\xc2", black); // not ASCII: a box
  CHECK(count(raster, black) == 20);
  CHECK(text_width("ab", 2) == 22);
  CHECK(text_width("") == 0);
  std::vector<std::string> drawn; // no two printable characters look the same
  for (char c = ' '; c < 127; ++c) {
    raster.fill(white);
    raster.text(0, 0, std::string(1, c), black);
    drawn.emplace_back(raster.pixels().begin(), raster.pixels().end());
  }
  std::sort(drawn.begin(), drawn.end());
  CHECK(std::unique(drawn.begin(), drawn.end()) == drawn.end());
}

TEST_CASE("write_png writes what libpng reads back") {
  Folder const folder;
  Raster raster(5, 3, {10, 20, 30});
  raster.set(4, 2, {255, 0, 1});
  raster.set(0, 1, {0, 254, 7});
  auto const path = folder.path / "picture.png";
  std::ofstream(path) << "an older picture";
  write_png(path, raster);
  CHECK(folder.files() == 1);

  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  REQUIRE(png_image_begin_read_from_file(&image, path.c_str()));
  CHECK(image.width == 5);
  CHECK(image.height == 3);
  CHECK(image.format == PNG_FORMAT_RGB);
  image.format = PNG_FORMAT_RGB;
  std::vector<std::uint8_t> pixels(5 * 3 * 3);
  REQUIRE(png_image_finish_read(&image, nullptr, pixels.data(), 0, nullptr));
  CHECK(std::equal(pixels.begin(), pixels.end(), raster.pixels().begin(), raster.pixels().end()));

  auto const link = folder.path / "link.png";
  fs::create_symlink("picture.png", link);
  write_png(link, Raster(1, 1));
  CHECK(fs::is_symlink(link));
  CHECK(contents(link).size() == contents(path).size());
}

TEST_CASE("write_png says what went wrong and leaves nothing behind") {
  Folder const folder;
  Raster const raster(300, 200);
  auto const missing = folder.path / "missing" / "picture.png";
  auto const error = error_of([&] { write_png(missing, raster); });
  CHECK(contains(error, missing.string()));
  CHECK(contains(error, "No such file or directory"));
  CHECK(contains(error_of([&] { write_png(folder.path, raster); }), "Is a directory"));
  if (fs::exists("/dev/full")) {
    CHECK(contains(error_of([&] { write_png("/dev/full", raster); }), "No space left on device"));
    CHECK(fs::is_character_file("/dev/full"));
  }
  auto const path = folder.path / "picture.png";
  std::ofstream(path) << "an older picture";
  auto const full = error_of([&] {
    SmallDisk const disk(100);
    write_png(path, raster);
  });
  CHECK(contains(full, path.string()));
  CHECK(contains(full, "File too large"));
  CHECK(contents(path) == "an older picture");
  CHECK(folder.files() == 1);
}

TEST_CASE("pick_bands takes the nearest wavelengths, or evenly spaced bands") {
  std::vector<double> const wavelengths{450, 485, 555, 570, 655, 670, 850, 900, 1600};
  CHECK(pick_bands(wavelengths, 9) == Bands{4, 2, 1});
  CHECK(pick_bands(wavelengths, 9, ColourScheme::infrared) == Bands{6, 4, 2});
  CHECK(pick_bands({}, 30) == Bands{25, 15, 5});
  CHECK(pick_bands({}, 1) == Bands{0, 0, 0});
  CHECK(pick_bands(std::vector<double>{1000, 1500, 2000}, 3) == Bands{2, 1, 0}); // nothing visible
  CHECK(pick_bands(std::vector<double>{not_a_number, not_a_number, not_a_number}, 3) == Bands{2, 1, 0});
  CHECK(contains(error_of([&] { pick_bands(wavelengths, 8); }), "9 wavelengths, expected 8"));
}

TEST_CASE("percentile_stretch and false_colour share one scale") {
  // Channel 0 holds 0 ... 100, channel 1 is constant, channel 2 has two values that do not count.
  std::vector<float> values(3 * 101, 7);
  std::iota(values.begin(), values.begin() + 101, 0.0F);
  std::fill(values.begin() + 202, values.end(), 1.0F);
  values[202] = std::numeric_limits<float>::infinity();
  values[203] = std::numeric_limits<float>::quiet_NaN();
  values[204] = -1;
  CubeView const cube{values, 3, 1, 101};
  auto const stretch = percentile_stretch(cube, {0, 1, 2});
  CHECK(stretch.low[0] == doctest::Approx(2));
  CHECK(stretch.high[0] == doctest::Approx(98));
  CHECK(percentile_stretch(cube, {0, 1, 2}, 2.5, 50).low[0] == doctest::Approx(2.5));
  CHECK(stretch.low[1] == 7);
  CHECK(stretch.high[1] == 7);
  CHECK(stretch.high[2] == 1);

  auto const picture = false_colour(cube, {0, 1, 2}, {{2, 7, 0}, {98, 7, 1}});
  CHECK(picture.at(0, 0) == black);
  CHECK(picture.at(1, 0) == black);
  CHECK(picture.at(2, 0) == Colour{0, 128, 0});
  CHECK(picture.at(50, 0) == Colour{128, 128, 255});
  CHECK(picture.at(26, 0) == Colour{64, 128, 255});
  CHECK(picture.at(100, 0) == Colour{255, 128, 255});
  CHECK(contains(error_of([&] { false_colour(cube, {0, 1, 3}, stretch); }), "no band 3"));
  CHECK(contains(error_of([&] { false_colour({values, 3, 2, 101}, {0, 1, 2}, stretch); }), "3 x 2 x 101"));
}

TEST_CASE("triptych hides the patches and enlarges by whole numbers") {
  std::vector<float> original(3 * 4 * 6);
  std::iota(original.begin(), original.end(), 0.0F);
  auto reconstructed = original;
  std::fill(reconstructed.begin(), reconstructed.end(), 1e6F); // beyond the stretch of the original
  std::vector<std::uint8_t> const hidden{0, 1, 0, 0, 0, 1};
  CubeView const cube{original, 3, 4, 6};
  auto const row = triptych_row(cube, hidden, 2, {reconstructed, 3, 4, 6}, {0, 1, 2});
  CHECK(count(row.panels[0], hidden_grey) == 0);
  CHECK(count(row.panels[1], hidden_grey) == 8);
  CHECK(row.panels[1].at(2, 0) == hidden_grey);
  CHECK(row.panels[1].at(5, 3) == hidden_grey);
  CHECK(row.panels[1].at(0, 2) == row.panels[0].at(0, 2));
  CHECK(count(row.panels[2], white) == 24);
  CHECK_THROWS_AS(mask_patches(row.panels[0], hidden, 3), PictureError);
  CHECK_THROWS_AS(mask_patches(row.panels[0], std::vector<std::uint8_t>(5), 2), PictureError);

  std::vector<TriptychRow> const rows{row, row};
  auto const figure = triptych(rows, "two cubes");
  CHECK(figure.width() > 3 * 300);
  CHECK(figure.width() < 3 * 300 + 100);
  CHECK(count(figure, hidden_grey) == 2 * 8 * 50 * 50);
  CHECK_THROWS_AS(triptych({}), PictureError);
}

TEST_CASE("axes have 1-2-5 ticks, and decades where they are logarithmic") {
  CHECK(nice_step(0.13) == doctest::Approx(0.2));
  CHECK(nice_step(0.2) == doctest::Approx(0.2));
  CHECK(nice_step(21) == doctest::Approx(50));
  CHECK(nice_step(7e-9) == doctest::Approx(1e-8));

  using Labels = std::vector<std::string>;
  CHECK(make_axis({0, 1}, false, 0, 5).labels == Labels{"0", "0.2", "0.4", "0.6", "0.8", "1.0"});
  CHECK(make_axis({-0.3, 0.3, not_a_number}, false, 0, 6).labels ==
        Labels{"-0.3", "-0.2", "-0.1", "0", "0.1", "0.2", "0.3"});
  CHECK(make_axis({400, 2500}, false, 0, 5).labels == Labels{"500", "1000", "1500", "2000", "2500"});
  CHECK(make_axis({0, 2e6}, false, 0, 2).labels == Labels{"0", "1e6", "2e6"});
  CHECK(make_axis({0.004, 120, 0, -5}, true, 0, 7).labels == Labels{"0.01", "0.1", "1", "10", "100"});
  CHECK(make_axis({1e-12, 1}, true, 0, 5).labels == Labels{"1e-12", "1e-9", "1e-6", "0.001", "1"});
  CHECK(make_axis({0.15, 3}, true, 0, 7).labels == Labels{"0.2", "0.5", "1", "2"});
  CHECK(make_axis({0.31, 0.34}, true, 0, 4).labels == Labels{"0.31", "0.32", "0.33", "0.34"});

  CHECK(make_axis({1, 100}, true, 0, 4).share(10) == doctest::Approx(0.5));
  CHECK(make_axis({0, 10}, false, 0.1, 4).share(-1) == doctest::Approx(0));
  for (bool const log : {false, true})
    for (std::vector<double> const& values :
         {std::vector<double>{}, {5}, {5, 5}, {0}, {not_a_number}, {1e300, 3}, {1e-300, 1e90}}) {
      auto const axis = make_axis(values, log, 0.05, 6);
      CHECK(axis.high > axis.low);
      CHECK(axis.ticks.size() >= 2);
      CHECK(axis.ticks.size() <= 8);
    }
}

TEST_CASE("lines break at gaps") {
  using Runs = std::vector<std::pair<std::size_t, std::size_t>>;
  double const inf = std::numeric_limits<double>::infinity();
  CHECK(unbroken_runs({"", {1, 2, 3, 4}, {1, 1, 1, 1}}, false) == Runs{{0, 4}});
  CHECK(unbroken_runs({"", {1, 2, 3, 8}, {1, 1, 1, 1}}, false) == Runs{{0, 4}}); // five steps, not more
  CHECK(unbroken_runs({"", {1, 2, 3, 8.1, 9}, {1, 1, 1, 1, 1}}, false) == Runs{{0, 3}, {3, 5}});
  CHECK(unbroken_runs({"", {9, 8.1, 3, 2, 1}, {1, 1, 1, 1, 1}}, false) == Runs{{0, 2}, {2, 5}});
  CHECK(unbroken_runs({"", {1, 2, 3, 4}, {1, not_a_number, inf, 1}}, false) == Runs{{0, 1}, {3, 4}});
  CHECK(unbroken_runs({"", {1, 2, 3}, {1, 0, 1}}, true) == Runs{{0, 1}, {2, 3}});
  CHECK(unbroken_runs({"", {2, 2, 2}, {1, 2, 3}}, false) == Runs{{0, 3}});
  CHECK(unbroken_runs({"", {}, {}}, false).empty());
}

TEST_CASE("draw shows each series, and the legend beside them") {
  Plot plot{"title", "x", "y", false, {{"a", {0, 1, 2}, {0, 1, 4}}, {"dot", {1}, {3}, Colour{200, 0, 0}}}};
  auto const picture = draw(plot);
  CHECK(picture.width() == plot.width);
  CHECK(count(picture, series_colour(0)) > 500);
  CHECK(count(picture, {200, 0, 0}) > 30 + 3 * 24); // the dot, and its line in the legend

  plot.series[0].name.clear();
  plot.series[1].name.clear();
  auto const bare = draw(plot);
  CHECK(count(bare, series_colour(0)) > 500);
  CHECK(count(bare, {200, 0, 0}) < 80);

  // A line to the top right corner drives the legend away from it: not one of its pixels is lost.
  Series const diagonal{"diagonal", {0, 1}, {0, 1}};
  Series const nameless{"", {0, 1}, {0, 1}};
  auto const with = draw({"", "", "", false, {diagonal}});
  auto const without = draw({"", "", "", false, {nameless}});
  int lost = 0;
  for (int y = 0; y < with.height(); ++y)
    for (int x = 0; x < with.width(); ++x)
      lost += without.at(x, y) == series_colour(0) && !(with.at(x, y) == series_colour(0));
  CHECK(lost == 0);
  CHECK(count(with, series_colour(0)) > count(without, series_colour(0)));
}

TEST_CASE("draw takes any values and refuses what has no shape") {
  double const inf = std::numeric_limits<double>::infinity();
  for (bool const log : {false, true}) {
    CHECK_NOTHROW(draw({"", "", "", log, {}}));
    CHECK_NOTHROW(draw({"all",
                        "x",
                        "y",
                        log,
                        {{"none", {}, {}}, {"nan", {not_a_number, 1}, {1, not_a_number}}, {"inf", {1}, {inf}}}}));
    CHECK_NOTHROW(draw({"constant", "x", "y", log, {{"c", {0, 1}, {5, 5}}, {"zero", {0}, {0}}}}));
    CHECK_NOTHROW(draw({"huge", "x", "y", log, {{"c", {-1e99, 1e99}, {1e-99, 1e99}}, {"more", {0}, {1e300}}}}));
    CHECK_NOTHROW(draw({"", "", "", log, {{std::string(500, 'w'), {1}, {1}}}}));
  }
  CHECK(contains(error_of([] { draw({"", "", "", false, {{"loss", {1, 2}, {1}}}}); }), "'loss' has 2 x and 1 y"));
  CHECK(contains(error_of([] { draw({"", "", "", false, {}, 80, 50}); }), "80 x 50"));
}

TEST_CASE("CurveWriter keeps each row at once, and continues") {
  Folder const folder;
  auto const path = folder.path / "loss.csv";
  {
    CurveWriter writer(path, {"step", "loss"});
    writer.append({1, 0.1});
    CHECK(contents(path) == "step,loss\n1,0.1\n"); // before it is closed
    CHECK(contains(error_of([&] { writer.append({1, 2, 3}); }), "3 values, expected 2"));
    writer.append({2, not_a_number});
  }
  std::ofstream(path, std::ios::app) << "3,0.0"; // torn by a crash
  CurveWriter(path, {"step", "loss"}).append({3, 1.0 / 3});
  CHECK(contents(path) == "step,loss\n1,0.1\n2,nan\n3,0.3333333333333333\n");
  CHECK(contains(error_of([&] { CurveWriter(path, {"step", "error"}); }), "'step,loss', expected 'step,error'"));
  CHECK(contains(error_of([&] { CurveWriter(path, {"a,b"}); }), "'a,b' cannot name a column"));
  std::ofstream(path) << "a text of mine";
  CHECK(contains(error_of([&] { CurveWriter(path, {"step"}); }), "not a table"));
  CHECK(contents(path) == "a text of mine");
}

TEST_CASE("CurveWriter says that the disk is full and loses no earlier row") {
  Folder const folder;
  auto const path = folder.path / "loss.csv";
  CurveWriter writer(path, {"step", "loss"});
  writer.append({1, 0.5});
  auto const error = error_of([&] {
    SmallDisk const disk(20); // room for three of the bytes of the next row
    writer.append({2, 0.25});
  });
  CHECK(contains(error, path.string()));
  CHECK(contains(error, "File too large"));
  CHECK(contents(path) == "step,loss\n1,0.5\n");
  writer.append({2, 0.25}); // there is room again
  CHECK(contents(path) == "step,loss\n1,0.5\n2,0.25\n");
  CHECK(contains(error_of([] { CurveWriter("/missing/loss.csv", {"a"}); }), "No such file or directory"));
  if (fs::exists("/dev/full"))
    CHECK(contains(error_of([] { CurveWriter("/dev/full", {"a"}); }), "No space left on device"));
}
