// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "data/envi.hpp"

#include "data/error.hpp"
#include "data/input_file.hpp"
#include "data/raw.hpp"
#include "data/text.hpp"
#include "data/tiff.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <map>
#include <utility>

namespace hyperspectral {

namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t largest_header = 16U << 20U; // bytes; a larger file is data with the wrong ending
constexpr std::uint64_t largest_axis = 1'000'000'000;

/// The header's text as a dictionary with typed access.
class Header {
public:
  explicit Header(fs::path const& path) : m_name(path.string()) {
    if (!is_envi_header(path)) fail(m_name, ": no ENVI header, its first line must be 'ENVI'");
    std::error_code error;
    auto const size = fs::file_size(path, error);
    if (error) fail(m_name, ": cannot be read, ", error.message());
    if (size > largest_header) fail(m_name, ": ", size, " bytes are too many for an ENVI header");
    parse_lines(InputFile(path).rest());
  }

  std::string const& name() const { return m_name; }
  bool has(std::string const& key) const { return m_entries.contains(key); }

  std::string_view word(std::string const& key) const {
    auto const entry = m_entries.find(key);
    if (entry == m_entries.end()) fail(m_name, ": '", key, "' is missing");
    return entry->second;
  }

  std::uint64_t whole_number(std::string const& key) const {
    auto const number = parse<std::uint64_t>(word(key));
    if (!number) fail(m_name, ": '", key, "' is ", quote(word(key)), ", expected a whole number");
    return *number;
  }

  std::uint64_t whole_number(std::string const& key, std::uint64_t otherwise) const {
    return has(key) ? whole_number(key) : otherwise;
  }

  std::size_t axis(std::string const& key) const {
    auto const number = whole_number(key);
    if (number == 0 || number > largest_axis) {
      fail(m_name, ": '", key, "' is ", number, ", expected 1 to ", largest_axis);
    }
    return static_cast<std::size_t>(number);
  }

  double real(std::string const& key) const { return real(key, word(key)); }

  std::vector<double> list(std::string const& key) const {
    std::vector<double> numbers;
    auto rest = word(key);
    constexpr std::string_view between = ", \t\r\n";
    for (auto first = rest.find_first_not_of(between); first != rest.npos; first = rest.find_first_not_of(between)) {
      rest.remove_prefix(first);
      auto const length = std::min(rest.find_first_of(between), rest.size());
      numbers.push_back(real(key, rest.substr(0, length)));
      rest.remove_prefix(length);
    }
    return numbers;
  }

  std::vector<std::string> texts(std::string const& key) const {
    std::vector<std::string> texts;
    for (auto rest = word(key); !rest.empty();) {
      auto const length = std::min(rest.find(','), rest.size());
      texts.emplace_back(trim(rest.substr(0, length)));
      rest.remove_prefix(std::min(length + 1, rest.size()));
    }
    return texts;
  }

private:
  double real(std::string const& key, std::string_view text) const {
    auto const number = parse<double>(text);
    if (!number) fail(m_name, ": '", key, "' holds ", quote(text), ", expected a number");
    return *number;
  }

  void parse_lines(std::string_view text) {
    auto const next_line = [&text] {
      auto const length = std::min(text.find('\n'), text.size());
      auto const line = trim(text.substr(0, length));
      text.remove_prefix(std::min(length + 1, text.size()));
      return line;
    };
    next_line(); // "ENVI"
    for (std::size_t number = 2; !text.empty(); ++number) {
      auto const line = next_line();
      if (line.empty() || line.starts_with(';')) continue;
      auto const equals = line.find('=');
      if (equals == line.npos) fail(m_name, ": line ", number, " is ", quote(line), ", expected 'key = value'");
      auto const key = normal_key(line.substr(0, equals));
      std::string value(trim(line.substr(equals + 1)));
      if (value.starts_with('{')) {
        auto const opened = number;
        while (value.find('}') == value.npos) {
          if (text.empty()) fail(m_name, ": the brace of '", key, "' opened in line ", opened, " is never closed");
          auto const more = next_line();
          ++number;
          if (!more.starts_with(';')) value.append("\n").append(more);
        }
        value = trim(std::string_view(value).substr(1, value.find('}') - 1));
      }
      m_entries[key] = value;
    }
  }

  // "Data  Type" and "data type" are one key.
  static std::string normal_key(std::string_view text) {
    std::string key;
    for (auto const c : lower(trim(text))) {
      auto const blank = c == ' ' || c == '\t';
      if (!blank || key.back() != ' ') key += blank ? ' ' : c;
    }
    return key;
  }

  std::string m_name;
  std::map<std::string, std::string> m_entries;
};

SampleType sample_type(Header const& header) {
  switch (auto const number = header.whole_number("data type")) {
  case 1:
    return SampleType::uint8;
  case 2:
    return SampleType::int16;
  case 3:
    return SampleType::int32;
  case 4:
    return SampleType::float32;
  case 5:
    return SampleType::float64;
  case 12:
    return SampleType::uint16;
  case 13:
    return SampleType::uint32;
  default:
    fail(header.name(), ": 'data type' is ", number, ", expected 1, 2, 3, 4, 5, 12 or 13");
  }
}

RawFormat raw_format(Header const& header) {
  RawFormat format{.type = sample_type(header), .ignore = {}};
  auto const order = header.whole_number("byte order", 0);
  if (order > 1) fail(header.name(), ": 'byte order' is ", order, ", expected 0 (little) or 1 (big endian)");
  format.big_endian = order == 1;
  if (header.has("reflectance scale factor")) format.scale = header.real("reflectance scale factor");
  if (!std::isfinite(format.scale) || format.scale <= 0) {
    fail(header.name(), ": 'reflectance scale factor' is ", format.scale, ", expected a positive number");
  }
  if (header.has("data ignore value")) format.ignore = header.real("data ignore value");
  return format;
}

// Nanometres per unit; 0 for what is no length (wavenumbers, frequencies, an index).
double nanometres(Header const& header, std::vector<double> const& wavelengths) {
  auto const unit = header.has("wavelength units") ? lower(header.word("wavelength units")) : "unknown";
  if (unit == "nm" || unit.starts_with("nanomet")) return 1;
  if (unit == "um" || unit == "\xc2\xb5m" || unit == "\xce\xbcm" || unit == "\xb5m" || unit.starts_with("micro")) {
    return 1e3;
  }
  if (unit == "mm" || unit.starts_with("millimet")) return 1e6;
  if (unit == "cm" || unit.starts_with("centimet")) return 1e7;
  if (unit == "m" || unit == "meters" || unit == "metres") return 1e9;
  if (unit == "angstroms") return 0.1;
  if (unit != "unknown" && !unit.empty()) return 0;
  return std::ranges::all_of(wavelengths, [](double value) { return value < 100; }) ? 1e3 : 1;
}

void read_band_lists(Header const& header, Cube& cube) {
  auto const list = [&](std::string const& key) {
    auto numbers = header.list(key);
    if (numbers.size() != cube.bands) {
      fail(header.name(), ": '", key, "' has ", numbers.size(), " entries for ", cube.bands, " bands");
    }
    return numbers;
  };
  if (header.has("wavelength")) {
    cube.wavelengths = list("wavelength");
    auto const unit = nanometres(header, cube.wavelengths);
    for (auto& wavelength : cube.wavelengths) wavelength *= unit;
    if (unit == 0) cube.wavelengths.clear();
  }
  if (header.has("band names")) { // names may have commas in them: then they are not known
    if (auto names = header.texts("band names"); names.size() == cube.bands) cube.band_names = std::move(names);
  }
  if (header.has("bbl")) {
    for (auto const flag : list("bbl")) cube.good.push_back(flag != 0);
  }
}

fs::path data_of(fs::path const& header) {
  auto const stem = fs::path(header).replace_extension();
  constexpr std::array endings{"", ".raw", ".img", ".dat", ".bsq", ".bil", ".bip", ".bin", ".tif", ".tiff"};
  for (std::string const ending : endings) {
    auto upper = ending;
    std::ranges::transform(upper, upper.begin(), [](char c) { return c >= 'a' && c <= 'z' ? char(c - 'a' + 'A') : c; });
    for (auto const& name : {stem.string() + ending, stem.string() + upper}) {
      if (is_file(name)) return name;
    }
  }
  fail(header.string(), ": no data file beside it (", stem.filename().string(),
       " with no ending or .raw .img .dat .bsq .bil .bip .bin .tif)");
}

// The size of the file is compared before anything is allocated, so a header's numbers cannot ask for more than exists.
void require_size(Header const& header, fs::path const& data, Cube const& cube, std::uint64_t offset, SampleType type) {
  std::error_code error;
  auto const found = fs::file_size(data, error);
  if (error) fail(data.string(), ": cannot be read, ", error.message());
  auto const image = saturating_product(cube.lines, cube.samples, cube.bands, bytes_per_sample(type));
  auto const expected = offset > UINT64_MAX - image ? UINT64_MAX : offset + image;
  // A TIFF may well keep its directory behind the pixels.
  if (found == expected || (found > expected && is_tiff(data))) return;
  fail(data.string(), found < expected ? ": truncated, " : ": larger than its header says, ", "expected ", expected,
       " bytes (offset ", offset, " + ", cube.lines, " lines x ", cube.samples, " samples x ", cube.bands, " bands x ",
       bytes_per_sample(type), " bytes), found ", found, " (header ", header.name(), ")");
}

} // namespace

bool is_envi_header(fs::path const& path) {
  if (!is_file(path)) return false;
  auto const line = first_bytes(path, 8);
  std::string_view start(line);
  if (start.starts_with("\xef\xbb\xbf")) start.remove_prefix(3); // the mark some editors put before UTF-8
  return start.starts_with("ENVI");
}

fs::path envi_header_of(fs::path const& data) {
  auto const stem = fs::path(data).replace_extension().string();
  for (auto const& name : {data.string() + ".hdr", data.string() + ".HDR", stem + ".hdr", stem + ".HDR"}) {
    if (is_envi_header(name)) return name;
  }
  return {};
}

Cube read_envi(fs::path const& path) {
  if (!is_file(path)) fail(path.string(), ": no such file");
  auto const given_header = extension_of(path) == ".hdr";
  auto const header_path = given_header ? path : envi_header_of(path);
  if (header_path.empty()) fail(path.string(), ": no ENVI header (.hdr) beside it");
  Header const header(header_path);

  Cube cube;
  cube.lines = header.axis("lines");
  cube.samples = header.axis("samples");
  cube.bands = header.axis("bands");
  auto const interleave = lower(header.word("interleave"));
  if (interleave != "bsq" && interleave != "bil" && interleave != "bip") {
    fail(header.name(), ": 'interleave' is ", quote(interleave), ", expected bsq, bil or bip");
  }
  if (header.whole_number("file compression", 0) != 0) {
    fail(header.name(), ": 'file compression' is ", header.word("file compression"),
         ", only uncompressed data are read");
  }
  auto const format = raw_format(header);
  auto const offset = header.whole_number("header offset", 0);
  auto const data = given_header ? data_of(path) : path;
  require_size(header, data, cube, offset, format.type);
  read_band_lists(header, cube);
  cube.source = data.string();

  // One band (bsq) or one line of all bands (bil, bip) at a time.
  auto const step = bytes_per_sample(format.type);
  auto const [lines, samples, bands] = std::array{cube.lines, cube.samples, cube.bands};
  std::vector<unsigned char> chunk(step * samples * (interleave == "bsq" ? lines : bands));
  CubeBuilder builder(std::move(cube), format);
  InputFile file(data);
  file.seek(offset);
  for (std::size_t c = 0; c < (interleave == "bsq" ? bands : lines); ++c) {
    if (file.read(chunk.data(), chunk.size()) != chunk.size())
      fail(data.string(), ": ends early, it has become shorter since it was opened");
    for (std::size_t i = 0; i < chunk.size() / step; ++i) {
      auto const* const raw = chunk.data() + i * step;
      if (interleave == "bsq") {
        builder.put(c, i / samples, i % samples, raw);
      } else if (interleave == "bil") {
        builder.put(i / samples, c, i % samples, raw);
      } else {
        builder.put(i % bands, c, i / bands, raw);
      }
    }
  }
  return builder.finish();
}

} // namespace hyperspectral
