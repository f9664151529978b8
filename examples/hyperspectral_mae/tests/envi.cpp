// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "data/envi.hpp"

#include "files.hpp"

#include <doctest/doctest.h>

#include <fcntl.h>
#include <limits>
#include <sys/resource.h>
#include <unistd.h>

using namespace hyperspectral;
using namespace hyperspectral::test;

namespace {

// The cube of all positive cases: 2 lines x 3 samples x 4 bands, each value tells its place.
int value_at(std::size_t band, std::size_t line, std::size_t sample) {
  return static_cast<int>(1 + band * 6 + line * 3 + sample);
}

template <class Number>
std::string pixels(std::string const& interleave, bool big_endian) {
  std::string bytes;
  auto const add = [&](std::size_t b, std::size_t l, std::size_t s) {
    bytes += bytes_of(static_cast<Number>(value_at(b, l, s)), big_endian);
  };
  if (interleave == "bsq") {
    for (std::size_t b = 0; b < 4; ++b) {
      for (std::size_t i = 0; i < 6; ++i) add(b, i / 3, i % 3);
    }
  } else {
    for (std::size_t l = 0; l < 2; ++l) {
      for (std::size_t i = 0; i < 12; ++i) interleave == "bil" ? add(i / 3, l, i % 3) : add(i % 4, l, i / 4);
    }
  }
  return bytes;
}

std::string header(std::string const& more = {}) {
  return "ENVI\nsamples = 3\nlines = 2\nbands = 4\ndata type = 2\ninterleave = bsq\n" + more;
}

std::string const good_pixels = pixels<std::int16_t>("bsq", false);

std::string message(std::string const& header_text, std::string const& bytes = good_pixels) {
  Folder const folder;
  write(folder / "x.raw", bytes);
  return message_of([path = write(folder / "x.hdr", header_text)] { read_envi(path); });
}

Cube cube(std::string const& header_text, std::string const& bytes = good_pixels) {
  Folder const folder;
  write(folder / "x.raw", bytes);
  return read_envi(write(folder / "x.hdr", header_text));
}

std::string without(std::string text, std::string const& part) {
  return text.erase(text.find(part), part.size());
}

std::string with(std::string text, std::string const& part, std::string const& other) {
  return text.replace(text.find(part), part.size(), other);
}

void check_values(Cube const& cube) {
  REQUIRE(cube.values.size() == 24);
  for (std::size_t b = 0; b < 4; ++b) {
    for (std::size_t i = 0; i < 6; ++i) CHECK(cube.at(b, i / 3, i % 3) == float(value_at(b, i / 3, i % 3)));
  }
}

template <class Number>
void check_every_order(int data_type) {
  for (std::string const interleave : {"bsq", "bil", "bip"}) {
    for (bool const big_endian : {false, true}) {
      CAPTURE(data_type);
      CAPTURE(interleave);
      CAPTURE(big_endian);
      check_values(cube("ENVI\nsamples = 3\nlines = 2\nbands = 4\nheader offset = 5\nbyte order = " +
                            std::to_string(int{big_endian}) + "\ndata type = " + std::to_string(data_type) +
                            "\ninterleave = " + interleave + "\n",
                        "skip!" + pixels<Number>(interleave, big_endian)));
    }
  }
}

} // namespace

TEST_CASE("every data type, interleave and byte order") {
  check_every_order<std::uint8_t>(1);
  check_every_order<std::int16_t>(2);
  check_every_order<std::int32_t>(3);
  check_every_order<float>(4);
  check_every_order<double>(5);
  check_every_order<std::uint16_t>(12);
  check_every_order<std::uint32_t>(13);
}

TEST_CASE("signs survive") {
  std::string bytes;
  for (int i = 0; i < 24; ++i) bytes += bytes_of(static_cast<std::int16_t>(-i));
  CHECK(cube(header(), bytes).at(3, 1, 2) == -23);
}

TEST_CASE("comments, capitals, blanks and braces over several lines") {
  auto const read = cube("ENVI\r\n; a remark = 3\r\nSamples=3\r\n  LINES  =  2 \r\nbands = 4\n\nData   Type = 2\n"
                         "description = { first\n second = 3\n}\ninterleave = BSQ\nWavelength Units = Micrometers\n"
                         "wavelength = {0.4, 0.5,\n; between\n0.6\n, 2.5}\n");
  check_values(read);
  CHECK(read.wavelengths.front() == doctest::Approx(400));
  CHECK(read.wavelengths.back() == doctest::Approx(2500));
}

TEST_CASE("units of wavelengths") {
  auto const first = [](std::string const& list, std::string const& unit) {
    return cube(header("wavelength = {" + list + "}\nwavelength units = " + unit + "\n")).wavelengths;
  };
  CHECK(first("400,500,600,700", "nm").at(0) == 400);
  CHECK(first("400,500,600,700", "Nanometers").at(0) == 400);
  CHECK(first("400,500,600,700", "Unknown").at(0) == 400);
  CHECK(first("0.4 0.5 0.6 0.7", "Unknown").at(0) == doctest::Approx(400));
  CHECK(first("0.4 0.5 0.6 0.7", "um").at(0) == doctest::Approx(400));
  CHECK(first("1,2,3,4", "Index").empty());
  CHECK(cube(header()).wavelengths.empty());
}

TEST_CASE("bad bands are dropped with their wavelengths") {
  auto const read = cube(header("bbl = {0, 1, 0, 1}\nwavelength = {400, 500, 600, 700}\n"));
  CHECK(read.bands == 2);
  CHECK(read.values.size() == 12);
  CHECK(read.wavelengths == std::vector<double>{500, 700});
  CHECK(cube(header("bbl = {0, 1, 0, 1}\nband names = {blue,\n Green 1 , red,NIR}\n")).band_names ==
        std::vector<std::string>{"Green 1", "NIR"});
  CHECK(cube(header("band names = {blue, green, red, near, infrared}\n")).band_names.empty());
  CHECK(read.band_names.empty());
  CHECK(read.good == std::vector<bool>{true, true});
  CHECK(read.at(0, 1, 2) == float(value_at(1, 1, 2)));
  CHECK(read.at(1, 0, 0) == float(value_at(3, 0, 0)));
  CHECK(contains(message(header("bbl = {0,0,0,0}\n")), "all 4 bands are bad"));
}

TEST_CASE("scale factor and pixels without data") {
  auto const read = cube(header("reflectance scale factor = 10\ndata ignore value = 3\n"));
  CHECK(read.at(3, 1, 2) == doctest::Approx(2.4));
  CHECK(read.filled == 1);
  CHECK(read.at(0, 0, 2) == doctest::Approx((1 + 2 + 4 + 5 + 6) / 50.0)); // the mean of the other five
  auto ones = good_pixels;
  for (std::size_t i = 0; i < 6; ++i) ones.replace(2 * i, 2, bytes_of(std::int16_t{-9999}));
  CHECK(cube(header("data ignore value = -9999\n"), ones).bands == 3);
}

TEST_CASE("where the data may be") {
  for (std::string const name : {"x", "x.img", "x.dat", "x.bsq", "x.bil", "x.bip", "x.bin", "x.tif", "x.IMG"}) {
    CAPTURE(name);
    Folder const folder;
    auto const data = write(folder / name, good_pixels);
    check_values(read_envi(write(folder / "x.hdr", header())));
    check_values(read_envi(data));
  }
  Folder const folder;
  write(folder / "x.dat", good_pixels);
  check_values(read_envi(write(folder / "x.dat.hdr", header())));
  check_values(read_envi(folder / "x.dat"));
}

TEST_CASE("files that are not what they should be") {
  CHECK(contains(message_of([] { read_envi("/nowhere/x.hdr"); }), "no such file"));
  Folder const folder;
  CHECK(contains(message_of([&] { read_envi(write(folder / "a.raw", "1")); }), "no ENVI header"));
  CHECK(contains(message_of([&] { read_envi(write(folder / "b.hdr", header())); }), "no data file"));
  CHECK(contains(message("BYTEORDER I\n"), "first line must be 'ENVI'"));
  CHECK(contains(message(header(), good_pixels.substr(0, 47)), "truncated, expected 48 bytes"));
  CHECK(contains(message(header(), good_pixels.substr(0, 47)), "found 47"));
  CHECK(contains(message(header(), good_pixels + "??"), "larger than its header says, expected 48"));
}

TEST_CASE("wrong numbers in the header") {
  for (std::string const axis : {"samples = 3", "lines = 2", "bands = 4"}) {
    auto const key = axis.substr(0, axis.find(' '));
    CHECK(contains(message(without(header(), axis + "\n")), "'" + key + "' is missing"));
    CHECK(contains(message(with(header(), axis, key + " = 0")), "'" + key + "' is 0"));
    CHECK(contains(message(with(header(), axis, key + " = -3")), "'-3', expected a whole number"));
    CHECK(contains(message(with(header(), axis, key + " = 3x")), "'3x', expected a whole number"));
    CHECK(contains(message(with(header(), axis, key + " = 18446744073709551615")), "18446744073709551615"));
    CHECK(contains(message(with(header(), axis, key + " = 99999999999999999999999")), "expected a whole number"));
  }
  auto const huge = "ENVI\nsamples = 1000000000\nlines = 1000000000\nbands = 1000000000\ndata type = 5\n"
                    "interleave = bip\nheader offset = 18446744073709551615\n";
  CHECK(contains(message(huge), "truncated, expected 18446744073709551615 bytes"));
  CHECK(contains(message(without(header(), "data type = 2\n")), "'data type' is missing"));
  CHECK(contains(message(with(header(), "type = 2", "type = 6")), "'data type' is 6, expected 1, 2, 3"));
  CHECK(contains(message(without(header(), "interleave = bsq\n")), "'interleave' is missing"));
  CHECK(contains(message(with(header(), "bsq", "bsx")), "'interleave' is 'bsx', expected bsq, bil or bip"));
  CHECK(contains(message(header("byte order = 2\n")), "'byte order' is 2"));
  CHECK(contains(message(header("header offset = many\n")), "'many', expected a whole number"));
  CHECK(contains(message(header("wavelength = {1, 2, 3}\n")), "'wavelength' has 3 entries for 4 bands"));
  CHECK(contains(message(header("bbl = {1, 1, 1, 1, 1}\n")), "'bbl' has 5 entries for 4 bands"));
  CHECK(contains(message(header("wavelength = {1, 2, three, 4}\n")), "'three', expected a number"));
  CHECK(contains(message(header("wavelength = {1, 2,\n3, 4\n")), "brace of 'wavelength' opened in line 7"));
  CHECK(contains(message(header("reflectance scale factor = 0\n")), "is 0, expected a positive number"));
  CHECK(contains(message(header("file compression = 1\n")), "only uncompressed"));
  CHECK(contains(message(header("what is this\n")), "line 7 is 'what is this'"));
}

TEST_CASE("NaN and infinite pixels") {
  auto bytes = pixels<float>("bsq", false);
  bytes.replace(4 * 10, 4, bytes_of(std::numeric_limits<float>::quiet_NaN())); // band 1, line 1, sample 1
  bytes.replace(4 * 20, 4, bytes_of(std::numeric_limits<float>::infinity()));
  auto const text = with(header(), "type = 2", "type = 4");
  CHECK(contains(message(text, bytes), "2 of 24 values are NaN or infinite, the first in band 1, line 1, sample 1"));
  CHECK(cube(text + "bbl = {1, 0, 1, 0}\n", bytes).bands == 2); // nobody asks about dropped bands
}

TEST_CASE("a laboratory cube") {
  auto const path = real_data("hyperspectral/maize_kernel/corn-kernel-hyperspectral.hdr");
  if (!path) return;
  auto const read = read_envi(*path);
  CHECK(read.lines == 31);
  CHECK(read.samples == 43);
  CHECK(read.bands == 580);
  CHECK(read.wavelengths.front() == doctest::Approx(366.551));
  CHECK(read.wavelengths.back() == doctest::Approx(1048.421));
  // The file is band interleaved by line: check one value against its place.
  auto const raw = test::read(std::filesystem::path(*path).replace_extension(".raw"));
  auto const place = 2 * ((7 * 580 + 300) * std::size_t{43} + 11);
  auto const expected = static_cast<unsigned char>(raw[place]) + 256 * static_cast<unsigned char>(raw[place + 1]);
  CHECK(read.at(300, 7, 11) == float(expected));
}

TEST_CASE("a file that cannot be opened is not passed over as none of ours") {
  Folder const folder;
  write(folder / "a.hdr", "ENVI\nsamples = 1\nlines = 1\nbands = 1\ndata type = 1\ninterleave = bsq\n");
  write(folder / "a.raw", "x");
  int const next = open("/dev/null", O_RDONLY);
  close(next);
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  rlimit none = before;
  none.rlim_cur = static_cast<rlim_t>(next);
  setrlimit(RLIMIT_NOFILE, &none);
  auto const header = message_of([&] { is_envi_header(folder / "a.hdr"); });
  auto const cube = message_of([&] { read_envi(folder / "a.hdr"); });
  setrlimit(RLIMIT_NOFILE, &before);
  CHECK(header == (folder / "a.hdr").string() + ": cannot be opened, Too many open files");
  CHECK(cube == header);
  CHECK(read_envi(folder / "a.hdr").bands == 1);
}
