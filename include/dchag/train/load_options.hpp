// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/layers/parameter.hpp>

#include <map>

namespace dchag {

/// Values of a tensor in a file, as it lies there, row-major; with an empty range, all of them.
struct StoredPart {
  std::string tensor;
  Range values = {};
};

/// Where the values of a whole array are in a file that was not written for this model: in these parts, one after the
/// other in the array's row-major order. None: the file does not have it. Asked with the spec's name (moments are
/// `optimizer.first_moment.<name>`), `whole_shape()` and `whole_size()`.
///
///     {{"blocks.0.norm1.weight"}}                                            another name
///     {{"embed.0.weight"}, {"embed.1.weight"}, ...}                          stacked along the leading axis
///     {{"in_proj_weight", {n, 2 * n}}}, n = spec.whole_size()                the second of several in one tensor
using Sources = std::function<std::vector<StoredPart>(ParameterSpec const&)>;

/// Sources by a table of names, the model's to the file's; names that are not in it are the same in both.
inline Sources renamed(std::map<std::string, std::string> table) {
  return [table = std::move(table)](ParameterSpec const& spec) {
    auto const found = table.find(spec.name);
    return std::vector<StoredPart>{{found == table.end() ? spec.name : found->second}};
  };
}

/// How a checkpoint is loaded.
struct LoadOptions {
  Sources sources = {};          ///< if not given: the arrays' own names
  bool allow_missing = false;    ///< arrays, channels and a step count that the file does not have stay
  bool allow_unexpected = false; ///< tensors that no array asks for, and channels, are passed over
  /// Settings of the model's description in which the file may differ, such as "image height" where the model is to go
  /// on with larger images.
  std::vector<std::string> may_differ = {};
  bool verify = true; ///< read the whole file, each rank a share, and compare its checksum first
};

} // namespace dchag
