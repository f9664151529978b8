// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "progress_state.hpp"

#include "pictures/whole_file.hpp"

#include <cerrno>
#include <cstdio>
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
  char checksum[32]; // to the digits that every compiler's rounding leaves
  std::snprintf(checksum, sizeof checksum, "%.7g", data.checksum());
  std::vector<dchag::comm::Setting> all{{"--model", model},
                                        {"bands of the data", data.channels()},
                                        {"cubes to train on", data.size(Split::train)},
                                        {"cubes held out", data.size(Split::test)},
                                        {"checksum of the data", std::string(checksum)}};
  for (auto& setting : deciding_settings(options)) all.push_back(std::move(setting));
  return all;
}

std::string key_of(dchag::comm::Setting const& setting) {
  return setting.name.substr(setting.name.starts_with("--") ? 2 : 0);
}

} // namespace

dchag::Metadata to_metadata(ProgressState const& state, std::string const& model, Options const& options,
                            Dataset const& data) {
  dchag::Texts texts;
  for (auto const& setting : deciding(model, options, data))
    if (described.count(setting.name) == 0) texts[key_of(setting)] = setting.value;
  for (dchag::comm::Setting const& setting :
       {dchag::comm::Setting{"step", state.step}, dchag::comm::Setting{"loss_sum", state.loss_sum},
        dchag::comm::Setting{"summed", state.summed}})
    texts[setting.name] = setting.value;
  return dchag::Metadata(std::move(texts));
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
  return {metadata.get<std::size_t>("step"), metadata.get<double>("loss_sum"), metadata.get<std::size_t>("summed")};
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
