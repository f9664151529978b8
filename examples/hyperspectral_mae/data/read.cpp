// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "data/read.hpp"

#include "data/envi.hpp"
#include "data/error.hpp"
#include "data/input_file.hpp"
#include "data/text.hpp"
#include "data/tiff.hpp"

#include <algorithm>
#include <sstream>
#include <utility>

namespace hyperspectral {

namespace {

namespace fs = std::filesystem;

// An ENVI cube is listed as its header; a TIFF that has such a header is not listed a second time.
bool is_listed(fs::path const& path) {
  auto const extension = extension_of(path);
  if (extension == ".hdr") return is_envi_header(path);
  return (extension == ".tif" || extension == ".tiff") && is_tiff(path) && envi_header_of(path).empty();
}

void list_folder(fs::path const& folder, std::vector<fs::path>& found) {
  std::error_code error;
  std::size_t looked_at = 0;
  auto const before = found.size();
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    ++looked_at;
    if (is_listed(entry->path())) found.push_back(entry->path());
  }
  if (error) fail(folder.string(), ": cannot be listed, ", error.message());
  if (found.size() == before) {
    fail(folder.string(), ": no cube in this folder, expected ENVI headers (.hdr) or .tif among its ", looked_at,
         " entries");
  }
}

void list_file(fs::path const& list, std::vector<fs::path>& found) {
  std::istringstream file(InputFile(list).rest());
  auto const before = found.size();
  std::size_t number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    auto const text = trim(std::string_view(line).substr(0, line.find('#')));
    if (text.empty()) continue;
    auto const path = list.parent_path() / fs::path(text);
    if (!is_file(path)) fail(list.string(), ": line ", number, " names ", quote(text), ", which is no file");
    found.push_back(path);
  }
  if (found.size() == before) fail(list.string(), ": no cube in this list of ", number, " lines");
}

} // namespace

Cube read_cube(fs::path const& path) {
  if (!is_file(path)) fail(path.string(), ": no such file");
  if (extension_of(path) == ".hdr" || !envi_header_of(path).empty()) return read_envi(path);
  if (is_tiff(path)) return read_tiff(path);
  fail(path.string(), ": neither a TIFF nor a file with an ENVI header (.hdr) beside it");
}

std::vector<fs::path> list_cubes(std::vector<fs::path> const& paths) {
  std::vector<fs::path> found;
  for (auto const& path : paths) {
    std::error_code ignored;
    auto const extension = extension_of(path);
    if (fs::is_directory(path, ignored)) {
      list_folder(path, found);
    } else if (!is_file(path)) {
      fail(path.string(), ": no such file or folder");
    } else if (extension == ".txt" || extension == ".lst") {
      list_file(path, found);
    } else {
      found.push_back(path);
    }
  }
  if (found.empty()) fail("no cube was named");
  for (auto& path : found) path = path.lexically_normal();
  std::ranges::sort(found, {}, [](fs::path const& path) { return std::pair(path.filename(), path); });
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

} // namespace hyperspectral
