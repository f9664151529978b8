// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace hyperspectral {

/// What aggregates the channels of a model, and how ranks share it: "c4@2" is D-CHAG with 2 groups, in each of which
/// cross-attention first makes 4 tokens of the channels.
struct ModelName {
  enum Kind { flat, tensor, tokens, cross_attention, linear };
  Kind kind;
  std::size_t fan_out = 0;
  std::size_t groups = 1;

  bool has_groups() const { return kind == cross_attention || kind == linear; }
};

/// None for what names no model that is compiled in.
std::optional<ModelName> read_model_name(std::string_view name);

/// Which names there are, for the help.
std::string model_names_help();

} // namespace hyperspectral
