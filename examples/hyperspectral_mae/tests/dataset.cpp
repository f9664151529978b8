// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "data/dataset.hpp"

#include "files.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <set>

using namespace hyperspectral;
using namespace hyperspectral::test;

namespace {

// Band 0 tells the cube and the place of the pixel, band 1 is constant.
Cube numbered(std::size_t number, std::size_t lines, std::size_t samples) {
  Cube cube{.lines = lines, .samples = samples, .bands = 2, .values = {}, .wavelengths = {}, .good = {}, .source = {}};
  for (std::size_t p = 0; p < cube.pixels(); ++p) cube.values.push_back(static_cast<float>(1000 * number + p));
  cube.values.resize(2 * cube.pixels(), 7);
  cube.good = {true, true};
  cube.source = "cube" + std::to_string(number);
  return cube;
}

std::vector<Cube> ten() {
  std::vector<Cube> cubes;
  for (std::size_t i = 0; i < 10; ++i) cubes.push_back(numbered(i, 7, 9));
  return cubes;
}

std::vector<std::string> names(Dataset const& data, Split split) {
  std::vector<std::string> result;
  for (std::size_t i = 0; i < data.size(split); ++i) result.push_back(data.cube(split, i).source);
  return result;
}

} // namespace

TEST_CASE("the split keeps every cube once and depends on the seed") {
  Dataset const data(ten(), {.test_fraction = 0.3, .test_count = {}, .seed = 1});
  CHECK(data.size(Split::test) == 3);
  CHECK(data.size(Split::train) == 7);
  auto all = names(data, Split::train);
  auto const test = names(data, Split::test);
  CHECK(std::ranges::is_sorted(all));
  all.insert(all.end(), test.begin(), test.end());
  CHECK(std::set(all.begin(), all.end()).size() == 10);
  CHECK(names(Dataset(ten(), {.test_fraction = 0.3, .test_count = {}, .seed = 1}), Split::test) == test);
  bool differs = false;
  for (std::uint64_t seed = 2; seed < 6; ++seed) {
    differs |= names(Dataset(ten(), {.test_fraction = 0.3, .test_count = {}, .seed = seed}), Split::test) != test;
  }
  CHECK(differs);
  CHECK(Dataset(ten(), {.test_count = 4}).size(Split::test) == 4);
}

TEST_CASE("standardised by the training part alone, constant bands become 0") {
  Dataset const data(ten(), {.test_count = 3});
  CHECK(data.channels() == 2);
  CHECK(data.constant_bands() == 1);
  double sum = 0;
  double squares = 0;
  for (std::size_t i = 0; i < 7; ++i) {
    auto const image = data.whole(Split::train, i, 1);
    REQUIRE(image.values.size() == 2 * 63);
    for (std::size_t p = 0; p < 63; ++p) {
      sum += static_cast<double>(image.values[p]);
      squares += static_cast<double>(image.values[p] * image.values[p]);
      CHECK(image.values[63 + p] == 0);
    }
  }
  CHECK(sum / (7 * 63) == doctest::Approx(0).epsilon(1e-6));
  CHECK(squares / (7 * 63) == doctest::Approx(1).epsilon(1e-5));
  auto const& cube = data.cube(Split::test, 0);
  auto const expected = (static_cast<double>(cube.at(0, 0, 0)) - data.mean()[0]) / data.deviation()[0];
  CHECK(data.whole(Split::test, 0, 1).values[0] == doctest::Approx(expected));
}

TEST_CASE("the middle of a cube") {
  Dataset const data({numbered(0, 7, 9)}, {.test_count = 0});
  auto const image = data.whole(Split::train, 0, 4);
  CHECK(image.lines == 4);
  CHECK(image.samples == 8);
  auto const pixel = [&](Image const& of, std::size_t i) { // back to the number of the pixel
    return std::lround(static_cast<double>(of.values[i]) * data.deviation()[0] + data.mean()[0]);
  };
  CHECK(pixel(image, 0) == 9);
  CHECK(pixel(image, 8) == 18);
  CHECK(pixel(data.centre(Split::train, 0, 3), 0) == 2 * 9 + 3);
  CHECK(contains(message_of([&] { data.whole(Split::train, 0, 8); }), "cube0: no 0 x 8 pixels in 7 lines x 9 samples"));
  CHECK(contains(message_of([&] { data.centre(Split::train, 0, 8); }), "no 8 x 8 pixels"));
  CHECK(contains(message_of([&] { data.whole(Split::test, 0, 1); }), "cube 0 of the test part, which has 0"));
}

TEST_CASE("batches are a function of their key, crops lie within a cube, all eight symmetries occur") {
  Dataset const data(ten(), {.test_count = 3});
  std::size_t const samples = 200;
  std::size_t const values = 2 * 4 * 4;
  std::vector<float> batch(samples * values);
  data.batch(Split::train, {.seed = 3, .step = 8}, 4, true, batch);
  auto again = std::vector<float>(batch.size());
  data.batch(Split::train, {.seed = 3, .step = 8}, 4, true, again);
  CHECK(again == batch);
  data.batch(Split::train, {.seed = 3, .step = 9}, 4, true, again);
  CHECK(again != batch);
  data.batch(Split::train, {.seed = 4, .step = 8}, 4, true, again);
  CHECK(again != batch);
  std::vector<float> one(values);
  data.sample(Split::train, {.seed = 3, .step = 8}, 5, 4, true, one);
  CHECK(std::equal(one.begin(), one.end(), batch.begin() + 5 * values));

  auto const number = [&](float value) { // 1000 * cube + place
    return std::lround(static_cast<double>(value) * data.deviation()[0] + data.mean()[0]);
  };
  auto const training = names(data, Split::train);
  auto const in_training = std::set(training.begin(), training.end());
  std::set<std::pair<long, long>> steps; // from the first pixel to its right and its lower neighbour
  for (std::size_t i = 0; i < samples; ++i) {
    auto const* const crop = batch.data() + i * values;
    std::set<long> places;
    for (std::size_t p = 0; p < 16; ++p) places.insert(number(crop[p]) % 1000);
    CHECK(places.size() == 16);
    CHECK(*places.rbegin() - *places.begin() == 3 * 9 + 3); // a square
    CHECK(in_training.contains("cube" + std::to_string(number(crop[0]) / 1000)));
    steps.emplace(number(crop[1]) - number(crop[0]), number(crop[4]) - number(crop[0]));
  }
  CHECK(steps.size() == 8);
  data.batch(Split::train, {.seed = 3, .step = 8}, 4, false, again);
  for (std::size_t i = 0; i < samples; ++i) CHECK(number(again[i * values + 1]) - number(again[i * values]) == 1);
}

TEST_CASE("oblong crops are never turned by a quarter") {
  CHECK(to_string(Crop(20)) == "20");
  CHECK(to_string(Crop(4, 6)) == "4x6");
  auto const read = read_crop("4x6");
  REQUIRE(read);
  CHECK((read->lines == 4 && read->samples == 6));
  for (auto const* const text : {"", "x", "4x", "x6", "4x6x8", "4 x 6", "-4", "four"}) CHECK(!read_crop(text));

  Dataset const data(ten(), {.test_count = 3});
  std::size_t const samples = 100;
  std::size_t const values = 2 * 4 * 6;
  std::vector<float> batch(samples * values);
  data.batch(Split::train, {.seed = 3, .step = 8}, {4, 6}, true, batch);
  auto const number = [&](float value) {
    return std::lround(static_cast<double>(value) * data.deviation()[0] + data.mean()[0]);
  };
  std::set<std::pair<long, long>> steps;
  for (std::size_t i = 0; i < samples; ++i) {
    auto const* const crop = batch.data() + i * values;
    steps.emplace(number(crop[1]) - number(crop[0]), number(crop[6]) - number(crop[0]));
  }
  CHECK(steps == std::set<std::pair<long, long>>{{1, 9}, {1, -9}, {-1, 9}, {-1, -9}});
  CHECK(contains(message_of([&] {
                   data.batch(Split::train, {}, {4, 12}, true, std::span(batch).first(2 * 4 * 12));
                 }),
                 "smaller than the crop of 4x12"));
}

TEST_CASE("an endless stream of scenes") {
  StreamOptions options{.scene = {.lines = 16, .samples = 20, .bands = 6}, .test_scenes = 3, .statistics_scenes = 8};
  Dataset const data(options);
  CHECK(data.is_endless());
  CHECK(data.size(Split::train) == 0);
  CHECK(data.size(Split::test) == 3);
  CHECK(data.wavelengths().size() == 6);
  CHECK(data.channel_names().front() == "400 nm");
  CHECK(data.channel_names().back() == "2500 nm");
  CHECK(data.constant_bands() == 0);
  std::vector<float> batch(4 * 6 * 8 * 8);
  data.batch(Split::train, {1, 0}, 8, true, batch);
  auto again = batch;
  Dataset(options).batch(Split::train, {1, 0}, 8, true, again);
  CHECK(again == batch);
  data.batch(Split::train, {1, 1}, 8, true, again);
  CHECK(again != batch);
  auto const image = data.whole(Split::test, 2, 8);
  CHECK(image.lines == 16);
  CHECK(image.samples == 16);
  CHECK(image.values == Dataset(options).whole(Split::test, 2, 8).values);
  std::vector<float> test(6 * 16 * 16);
  data.batch(Split::test, {1, 0}, 16, true, test); // the held-out scenes can be drawn from, too
}

TEST_CASE("channels are called by their wavelengths, or as the file calls its bands, each by a name of its own") {
  auto cubes = ten();
  CHECK(Dataset(cubes, SplitOptions{}).channel_names().empty());
  for (auto& cube : cubes) cube.band_names = {"B\xb5", "B\xb6"};
  CHECK(Dataset(cubes, SplitOptions{}).channel_names() == std::vector<std::string>{"B?", "B? (2)"});
  for (auto& cube : cubes) cube.wavelengths = {551.25, 700};
  CHECK(Dataset(cubes, SplitOptions{}).channel_names() == std::vector<std::string>{"551.25 nm", "700 nm"});
}

TEST_CASE("what makes no data set") {
  auto wrong = ten();
  wrong[4].bands = 1;
  CHECK(contains(message_of([&] { Dataset(wrong, SplitOptions{}); }), "cube0 has 2 bands and cube4 has 1"));
  CHECK(contains(message_of([] { Dataset(std::vector<Cube>{}, SplitOptions{}); }), "no cubes"));
  CHECK(contains(message_of([] { Dataset(ten(), {.test_count = 10}); }), "10 of 10 cubes for testing"));
  CHECK(contains(message_of([] { Dataset(ten(), {.test_fraction = 2}); }), "test fraction is 2"));
  Dataset const data(ten(), {.test_count = 0});
  std::vector<float> out(2 * 64);
  CHECK(contains(message_of([&] { data.batch(Split::train, {}, 8, true, out); }), "7 lines x 9 samples are smaller"));
  CHECK(contains(message_of([&] { data.batch(Split::train, {}, 5, true, out); }), "128 values hold no whole samples"));
  CHECK(contains(message_of([&] { data.batch(Split::test, {}, 4, true, out); }), "the test part, which has 0"));
  Folder const folder;
  write(folder / "a.raw", "123");
  write(folder / "a.hdr", "ENVI\nsamples=1\nlines=1\nbands=3\ndata type=1\ninterleave=bip\n");
  CHECK(read_cubes({folder.path()}).size() == 1);
  write(folder / "b.raw", "1234");
  write(folder / "b.hdr", "ENVI\nsamples=1\nlines=2\nbands=2\ndata type=1\ninterleave=bip\n");
  CHECK(contains(message_of([&] { read_cubes({folder.path()}); }), "a.raw has 3 bands and "));
}
