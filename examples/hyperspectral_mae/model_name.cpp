// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "model_name.hpp"

#include "data/text.hpp"

namespace hyperspectral {

std::optional<ModelName> read_model_name(std::string_view name) {
  if (name == "flat") return ModelName{ModelName::flat};
  if (name == "tensor") return ModelName{ModelName::tensor};
  if (name == "tokens") return ModelName{ModelName::tokens};
  auto const at = name.find('@');
  if (name.size() < 4 || at == std::string_view::npos || (name[0] != 'c' && name[0] != 'l')) return std::nullopt;
  auto const fan_out = parse<std::size_t>(name.substr(1, at - 1));
  auto const groups = parse<std::size_t>(name.substr(at + 1));
  bool const compiled = fan_out && (*fan_out == 0 || *fan_out == 2 || *fan_out == 4 || *fan_out == 8);
  if (!compiled || !groups || *groups == 0) return std::nullopt;
  return ModelName{name[0] == 'c' ? ModelName::cross_attention : ModelName::linear, *fan_out, *groups};
}

std::string model_names_help() {
  return "flat: one cross-attention over all channels, shared out exactly among any number of ranks; "
         "tensor: the same with its heads shared out, every rank making all tokens; "
         "tokens: the same with the tokenization distributed; "
         "cN@G, lN@G: D-CHAG -C, -L with G groups and TreeN in each, N = 0, 2, 4 or 8";
}

} // namespace hyperspectral
