// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "progress_state.hpp"

#include "pictures/whole_file.hpp"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <set>
#include <system_error>

namespace hyperspectral {
namespace {

// What the checkpoint's description of the model has too: it is compared when the model is loaded.
std::set<std::string> const described{"--model",         "--crop",           "--patch",         "--width",
                                      "--heads",         "--depth",          "--decoder-width", "--decoder-depth",
                                      "--decoder-heads", "bands of the data"};

// The data, and the options that decide.
std::vector<dchag::comm::Setting> deciding(std::string const& model, Options const& options, Dataset const& data) {
  std::vector<dchag::comm::Setting> all{{"--model", model},
                                        {"bands of the data", data.channels()},
                                        {"cubes to train on", data.size(Split::train)},
                                        {"cubes held out", data.size(Split::test)}};
  for (auto& setting : deciding_settings(options)) all.push_back(std::move(setting));
  return all;
}

std::string key_of(dchag::comm::Setting const& setting) {
  return setting.name.substr(setting.name.starts_with("--") ? 2 : 0);
}

} // namespace

bool same_checksum(double a, double b) {
  return std::fabs(a - b) <= 1e-6 * std::max(std::fabs(a), std::fabs(b));
}

dchag::Metadata to_metadata(ProgressState const& state, std::string const& model, Options const& options,
                            Dataset const& data) {
  std::vector<dchag::comm::Setting> all{{"checksum of the data", data.checksum()},
                                        {"step", state.step},
                                        {"loss_sum", state.loss_sum},
                                        {"summed", state.summed}};
  if (state.last_row) all.push_back({"last row of the curve", *state.last_row});
  for (auto& setting : deciding(model, options, data)) {
    if (described.count(setting.name) > 0) continue;
    setting.name = key_of(setting);
    all.push_back(std::move(setting));
  }
  return dchag::Metadata(all);
}

ProgressState from_metadata(dchag::Metadata const& metadata, std::string const& model, Options const& options,
                            Dataset const& data) {
  for (auto const& setting : deciding(model, options, data)) {
    bool const older = metadata.contains(key_of(setting)); // files without a description have all of them
    if (described.count(setting.name) > 0 && !older) continue;
    auto const stored = metadata.get<std::string>(key_of(setting));
    dchag::require<dchag::Error>(stored == setting.value, "--resume: the checkpoint was written with ", setting.name,
                                 ' ', stored, ", expected ", setting.value);
  }
  double const checksum = metadata.get<double>("checksum of the data");
  dchag::require<dchag::Error>(same_checksum(checksum, data.checksum()),
                               "--resume: the checkpoint was written with checksum of the data ", checksum,
                               ", expected ", data.checksum());
  ProgressState state{.step = metadata.get<std::size_t>("step"),
                      .loss_sum = metadata.get<double>("loss_sum"),
                      .summed = metadata.get<std::size_t>("summed"),
                      .last_row = std::nullopt};
  if (metadata.contains("last row of the curve")) state.last_row = metadata.get<std::size_t>("last row of the curve");
  return state;
}

std::string cut_curve(std::filesystem::path const& table, std::size_t step) {
  auto const fail = [&](char const* what, int error) {
    throw dchag::SystemError(dchag::concat("--resume: cannot ", what, " '", dchag::shortened(table.string(), 300),
                                           "': ", std::generic_category().message(error)));
  };
  std::string text;
  if (int const error = read_file(table, text); error == ENOENT)
    return "";
  else if (error != 0)
    fail("read", error);
  std::size_t begin = text.find('\n') + 1; // a line without its break was torn
  if (begin == 0) return "";
  std::string const head = text.substr(0, begin);
  std::string kept;
  for (auto end = text.find('\n', begin); end != text.npos; begin = end + 1, end = text.find('\n', begin)) {
    auto const line = text.substr(begin, end + 1 - begin);
    if (std::strtod(line.c_str(), nullptr) <= static_cast<double>(step)) kept += line;
  }
  if (head + kept != text)
    if (int const error = replace_file(table, head + kept)) fail("write", error);
  return kept;
}

} // namespace hyperspectral
