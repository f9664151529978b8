// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "data/tiff.hpp"

#include "data/error.hpp"
#include "data/input_file.hpp"
#include "data/raw.hpp"
#include "data/text.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <utility>

namespace hyperspectral {

namespace {

namespace fs = std::filesystem;

enum Tag : std::uint16_t {
  image_width = 256,
  image_length = 257,
  bits_per_sample = 258,
  compression = 259,
  strip_offsets = 273,
  samples_per_pixel = 277,
  rows_per_strip = 278,
  strip_byte_counts = 279,
  planar_configuration = 284,
  tile_width = 322,
  tile_offsets = 324,
  sample_format = 339,
  gdal_nodata = 42113
};

/// The bytes of a file and its first directory. Every access is checked against the end of the file.
class TiffFile {
public:
  explicit TiffFile(fs::path const& path) : m_name(path.string()) {
    if (!is_tiff(path)) fail(m_name, ": no TIFF file");
    m_bytes = InputFile(path).rest();
    m_big_endian = *at(0, 4) == 'M';
    if (auto const version = number(2, 2); version != 42) {
      fail(m_name, ": TIFF version ", version, version == 43 ? " (BigTIFF)" : "", " is not read, expected 42");
    }
    auto const directory = number(4, 4);
    auto const entries = number(directory, 2);
    for (std::uint64_t e = 0; e < entries; ++e) {
      auto const entry = directory + 2 + 12 * e;
      m_entries[static_cast<std::uint16_t>(number(entry, 2))] = entry;
    }
    if (number(directory + 2 + 12 * entries, 4) != 0) fail(m_name, ": holds several images, expected one");
  }

  std::string const& name() const { return m_name; }
  bool big_endian() const { return m_big_endian; }
  std::uint64_t size() const { return m_bytes.size(); }
  bool has(Tag tag) const { return m_entries.contains(tag); }

  unsigned char const* at(std::uint64_t offset, std::uint64_t bytes) const {
    if (offset > size() || bytes > size() - offset) {
      fail(m_name, ": truncated, expected ", bytes, " bytes at offset ", offset, ", found ", size(), " bytes in all");
    }
    return reinterpret_cast<unsigned char const*>(m_bytes.data()) + offset;
  }

  std::vector<std::uint64_t> numbers(Tag tag) const {
    auto const [bytes, count, first] = field(tag);
    if (bytes > 4) fail(m_name, ": tag ", int{tag}, " is no list of whole numbers");
    at(first, saturating_product(count, bytes)); // before the list is allocated
    std::vector<std::uint64_t> result(count);
    for (std::uint64_t i = 0; i < count; ++i) result[i] = number(first + i * bytes, bytes);
    return result;
  }

  /// The one number of the tag, which may be repeated for each band.
  std::uint64_t one(Tag tag) const {
    auto const list = numbers(tag);
    if (list.empty()) fail(m_name, ": tag ", int{tag}, " is empty");
    auto const other = std::ranges::find_if(list, [&](auto value) { return value != list.front(); });
    if (other != list.end()) {
      fail(m_name, ": tag ", int{tag}, " is ", list.front(), " for band 0 and ", *other, " for band ",
           other - list.begin(), ", expected one value for all bands");
    }
    return list.front();
  }

  std::uint64_t one(Tag tag, std::uint64_t otherwise) const { return has(tag) ? one(tag) : otherwise; }

  std::string_view text(Tag tag) const {
    auto const [bytes, count, first] = field(tag);
    auto const size_of_text = saturating_product(count, bytes);
    std::string_view const all(reinterpret_cast<char const*>(at(first, size_of_text)), size_of_text);
    return trim(all.substr(0, all.find('\0')));
  }

private:
  struct Field {
    std::uint64_t bytes; // of one number
    std::uint64_t count;
    std::uint64_t first; // offset of the first
  };

  Field field(Tag tag) const {
    auto const entry = m_entries.find(tag);
    if (entry == m_entries.end()) fail(m_name, ": tag ", int{tag}, " is missing");
    constexpr std::array<std::uint64_t, 13> sizes{0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8};
    auto const type = number(entry->second + 2, 2);
    if (type == 0 || type >= sizes.size()) fail(m_name, ": tag ", int{tag}, " has the unknown type ", type);
    auto const count = number(entry->second + 4, 4);
    auto const value = entry->second + 8; // short lists stand in the entry itself
    auto const bytes = sizes[type];
    return {bytes, count, count * bytes <= 4 ? value : number(value, 4)};
  }

  std::uint64_t number(std::uint64_t offset, std::uint64_t bytes) const {
    auto const* const raw = at(offset, bytes);
    std::uint64_t result = 0;
    for (std::uint64_t i = 0; i < bytes; ++i) result = (result << 8U) | raw[m_big_endian ? i : bytes - 1 - i];
    return result;
  }

  std::string m_name;
  std::string m_bytes;
  bool m_big_endian = false;
  std::map<std::uint16_t, std::uint64_t> m_entries; // tag to offset
};

SampleType sample_type(TiffFile const& file) {
  auto const bits = file.one(bits_per_sample, 1);
  auto const format = file.one(sample_format, 1);
  auto const integer = [&](SampleType without_sign, SampleType with_sign) {
    return format == 1 ? without_sign : with_sign;
  };
  if (format == 1 || format == 2) {
    if (bits == 8) return integer(SampleType::uint8, SampleType::int8);
    if (bits == 16) return integer(SampleType::uint16, SampleType::int16);
    if (bits == 32) return integer(SampleType::uint32, SampleType::int32);
  }
  if (format == 3 && bits == 32) return SampleType::float32;
  if (format == 3 && bits == 64) return SampleType::float64;
  fail(file.name(), ": ", bits, " bits of sample format ", format,
       " are not read, expected integers (1, 2) of 8, 16 or 32 bits or floating point (3) of 32 or 64");
}

} // namespace

bool is_tiff(fs::path const& path) {
  if (!is_file(path)) return false;
  auto start = first_bytes(path, 4);
  start.resize(4); // of a shorter file
  return (start[0] == 'I' && start[1] == 'I' && start[3] == 0) || (start[0] == 'M' && start[1] == 'M' && start[2] == 0);
}

Cube read_tiff(fs::path const& path) {
  TiffFile const file(path);
  if (file.has(tile_width) || file.has(tile_offsets)) {
    fail(file.name(), ": is stored in tiles, only strips are read (rewrite it with gdal_translate -co TILED=NO)");
  }
  if (auto const scheme = file.one(compression, 1); scheme != 1) {
    fail(file.name(), ": compression scheme ", scheme,
         " is not read (rewrite it with gdal_translate -co COMPRESS=NONE)");
  }
  auto const lines = file.one(image_length);
  auto const samples = file.one(image_width);
  auto const bands = file.one(samples_per_pixel, 1);
  if (lines == 0 || samples == 0 || bands == 0) {
    fail(file.name(), ": ", lines, " lines x ", samples, " samples x ", bands, " bands hold no pixel");
  }
  RawFormat format{.type = sample_type(file), .big_endian = file.big_endian(), .ignore = {}};
  auto const step = bytes_per_sample(format.type);
  auto const expected = saturating_product(lines, samples, bands, step);
  // Strips may overlap on paper; no honest image is larger than its file, and this bounds what is allocated.
  if (expected > file.size()) {
    fail(file.name(), ": truncated, expected ", expected, " bytes (", lines, " lines x ", samples, " samples x ", bands,
         " bands x ", step, " bytes), found ", file.size());
  }
  if (file.has(gdal_nodata)) {
    format.ignore = parse<double>(file.text(gdal_nodata));
    if (!format.ignore) fail(file.name(), ": the nodata entry ", quote(file.text(gdal_nodata)), " is no number");
  }

  auto const planar = file.one(planar_configuration, 1);
  if (planar != 1 && planar != 2) fail(file.name(), ": planar configuration is ", planar, ", expected 1 or 2");
  auto const rows = std::min(file.one(rows_per_strip, lines), lines);
  if (rows == 0) fail(file.name(), ": 0 rows per strip, expected 1 to ", lines);
  auto const strips_per_plane = (lines + rows - 1) / rows;
  auto const planes = planar == 2 ? bands : 1;
  auto const bands_per_plane = planar == 2 ? 1 : bands;
  auto const offsets = file.numbers(strip_offsets);
  if (offsets.size() != strips_per_plane * planes) {
    fail(file.name(), ": ", offsets.size(), " strips, expected ", strips_per_plane * planes, " (", rows, " rows each)");
  }
  auto const counts = file.has(strip_byte_counts) ? file.numbers(strip_byte_counts) : std::vector<std::uint64_t>{};
  if (!counts.empty() && counts.size() != offsets.size()) {
    fail(file.name(), ": ", counts.size(), " strip sizes for ", offsets.size(), " strips");
  }

  Cube frame;
  frame.lines = lines;
  frame.samples = samples;
  frame.bands = bands;
  frame.source = file.name();
  CubeBuilder builder(std::move(frame), format);
  for (std::size_t s = 0; s < offsets.size(); ++s) {
    auto const first_band = s / strips_per_plane; // not zero in planar files only
    auto const first_line = s % strips_per_plane * rows;
    auto const size = std::min(rows, lines - first_line) * samples * bands_per_plane;
    if (!counts.empty() && counts[s] < size * step) {
      fail(file.name(), ": strip ", s, " has ", counts[s], " bytes, expected ", size * step);
    }
    auto const* const strip = file.at(offsets[s], size * step);
    for (std::size_t i = 0; i < size; ++i) {
      auto const pixel = i / bands_per_plane;
      builder.put(first_band + i % bands_per_plane, first_line + pixel / samples, pixel % samples, strip + i * step);
    }
  }
  return builder.finish();
}

} // namespace hyperspectral
