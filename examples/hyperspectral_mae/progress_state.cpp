// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "progress_state.hpp"

#include <cstdlib>
#include <fstream>

namespace hyperspectral {
namespace {

// What decides the batches, masks, rates and losses of the steps to come.
std::vector<dchag::comm::Setting> deciding(std::string const& model, Options const& options) {
  return {{"model", model},
          {"seed", options.model.seed},
          {"batch", options.batch},
          {"steps", options.steps},
          {"warmup", options.warmup},
          {"rate", options.learning_rate},
          {"mask", options.model.mask_ratio},
          {"dropout", options.model.dropout},
          {"augment", options.augment}};
}

} // namespace

dchag::Metadata to_metadata(ProgressState const& state, std::string const& model, Options const& options) {
  dchag::Texts texts;
  for (auto const& setting : deciding(model, options)) texts[setting.name] = setting.value;
  for (dchag::comm::Setting const& setting :
       {dchag::comm::Setting{"step", state.step}, dchag::comm::Setting{"loss_sum", state.loss_sum},
        dchag::comm::Setting{"summed", state.summed}})
    texts[setting.name] = setting.value;
  return dchag::Metadata(std::move(texts));
}

ProgressState from_metadata(dchag::Metadata const& metadata, std::string const& model, Options const& options) {
  for (auto const& setting : deciding(model, options)) {
    auto const stored = metadata.get<std::string>(setting.name);
    dchag::require<dchag::Error>(stored == setting.value, "--resume: the checkpoint was written with --", setting.name,
                                 ' ', stored, ", expected ", setting.value);
  }
  return {metadata.get<std::size_t>("step"), metadata.get<double>("loss_sum"), metadata.get<std::size_t>("summed")};
}

void cut_curve(std::filesystem::path const& table, std::size_t step) {
  std::ifstream in(table);
  if (!in) return;
  std::string kept, line;
  for (bool first = true; std::getline(in, line); first = false)
    if (first || std::strtod(line.c_str(), nullptr) <= static_cast<double>(step)) kept += line + '\n';
  in.close();
  std::ofstream out(table, std::ios::trunc);
  out << kept << std::flush;
  dchag::require<dchag::Error>(out.good(), "--resume: cannot write '", table.string(), "'");
}

} // namespace hyperspectral
