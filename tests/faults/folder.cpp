// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "folder.hpp"

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>

namespace dchag::faults {
namespace {

namespace fs = std::filesystem;

constexpr char const* checkpoints = "checkpoints_c0@4/step_0000000"; // and the step's digit
constexpr char const* ending = ".safetensors";
constexpr char const* curve = "curve_c0@4.csv";
constexpr char const* lock = "checkpoints.lock"; // says which process holds it

std::string read_file(fs::path const& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string without_seconds(std::string const& table) {
  std::istringstream lines(table);
  std::string kept;
  for (std::string line; std::getline(lines, line);) kept += line.substr(0, line.rfind(',')) + '\n';
  return kept;
}

/// 0 if it is no checkpoint.
int step_of(std::string const& name) {
  std::string const start(checkpoints);
  bool const fits =
      name.starts_with(start) && name.size() == start.size() + 1 + std::string(ending).size() && name.ends_with(ending);
  return fits ? name[start.size()] - '0' : 0;
}

int newest(Files const& files) {
  int step = 0;
  for (auto const& [name, bytes] : files) step = std::max(step, step_of(name));
  return step;
}

/// The head of the table and its rows up to a step.
std::string rows_until(std::string const& table, int step) {
  std::istringstream lines(table);
  std::string kept, line;
  if (std::getline(lines, line)) kept = line + '\n';
  while (std::getline(lines, line))
    if (std::atoi(line.c_str()) <= step) kept += line + '\n';
  return kept;
}

std::set<std::string> const& names_of_the_user() {
  static std::set<std::string> const names{"notes.txt", "curve_c0@4.csv.mine", "losses.png.mine",
                                           std::string(checkpoints) + "1.safetensors.best",
                                           std::string(checkpoints) + "9.safetensors.mine"};
  return names;
}

} // namespace

Files files_below(fs::path const& folder) {
  Files files;
  if (!fs::exists(folder)) return files;
  for (auto const& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    auto const name = entry.path().lexically_relative(folder).string();
    auto bytes = read_file(entry.path());
    files[name] = name == curve ? without_seconds(bytes) : name.ends_with(lock) ? "" : bytes;
  }
  return files;
}

void write_cubes(fs::path const& folder) {
  constexpr int cubes = 5, bands = 8, edge = 8;
  fs::create_directories(folder);
  for (int cube = 0; cube < cubes; ++cube) {
    auto const name = folder / ("cube_" + std::to_string(cube));
    std::ofstream(name.string() + ".hdr") << "ENVI\nsamples = " << edge << "\nlines = " << edge << "\nbands = " << bands
                                          << "\ndata type = 4\ninterleave = bsq\nbyte order = 0\n";
    std::vector<float> values;
    for (int i = 0; i < bands * edge * edge; ++i)
      values.push_back(static_cast<float>((i * 7919 + cube * 104729) % 1000 + 40 * (i / (edge * edge))));
    std::ofstream(name.string() + ".raw", std::ios::binary)
        .write(reinterpret_cast<char const*>(values.data()),
               static_cast<std::streamsize>(values.size() * sizeof(float)));
  }
}

void add_files_of_the_user(fs::path const& out) {
  fs::create_directories(out / "checkpoints_c0@4");
  for (auto const& name : names_of_the_user()) std::ofstream(out / name) << "of the user: " << name << '\n';
}

std::vector<std::string> lost(Files const& before, Files const& after, Files const& known) {
  std::vector<std::string> sentences;
  auto const bytes_in = [](Files const& files, std::string const& name) {
    auto const found = files.find(name);
    return found == files.end() ? std::string() : found->second;
  };
  for (auto const& name : names_of_the_user())
    if (bytes_in(after, name) != bytes_in(before, name))
      sentences.push_back("the user's '" + name + "' is not as it was");
  int const last = newest(after);
  if (last < newest(before)) sentences.push_back("the newest checkpoint is gone");
  for (auto const& [name, bytes] : after) {
    if (step_of(name) == 0) continue;
    if (bytes != bytes_in(known, name)) sentences.push_back("'" + name + "' is not what an undisturbed run writes");
  }
  for (auto const& [name, bytes] : before) {
    if (step_of(name) == 0 || after.count(name) > 0 || last > newest(before)) continue;
    sentences.push_back("'" + name + "' is gone, and there is no newer one");
  }
  if (newest(before) > 0 &&
      rows_until(bytes_in(after, curve), newest(before)) != rows_until(bytes_in(before, curve), newest(before)))
    sentences.push_back("the curve has lost rows");
  return sentences;
}

std::vector<std::string> differences(Files const& after, Files const& whole) {
  std::vector<std::string> sentences;
  for (auto const& [name, bytes] : whole) {
    auto const found = after.find(name);
    if (found == after.end())
      sentences.push_back("'" + name + "' is missing");
    else if (found->second != bytes)
      sentences.push_back("'" + name + "' differs from the undisturbed run's");
  }
  for (auto const& [name, bytes] : after)
    if (whole.count(name) == 0 && names_of_the_user().count(name) == 0 && step_of(name) == 0)
      sentences.push_back("'" + name + "' is left behind");
  return sentences;
}

} // namespace dchag::faults
