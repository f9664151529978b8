// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace dchag::faults {

/// The files below a folder, by their names in it: their bytes, but nothing in which runs differ: seconds in a curve, a
/// process in a lock.
using Files = std::map<std::string, std::string>;

Files files_below(std::filesystem::path const& folder);

/// The folders of the attack: what all runs begin with, and what an undisturbed run leaves.
struct Folders {
  std::filesystem::path base;

  std::filesystem::path data() const { return base / "data"; } ///< cubes
  std::filesystem::path ranks(int ranks) const { return base / ("p" + std::to_string(ranks)); }
  std::filesystem::path whole(int count) const { return ranks(count) / "whole"; } ///< of the undisturbed run
  std::filesystem::path started(int count) const {
    return ranks(count) / "started";
  }                                                                            ///< of one killed in its last step
  std::filesystem::path counts(int count, std::string const& scenario) const { ///< of calls, one file a rank
    return ranks(count) / ("counts_" + scenario);
  }
};

/// Writes the cubes that every run reads.
void write_cubes(std::filesystem::path const& folder);

/// Puts files of the user's among the run's, with names that begin as the run's do.
void add_files_of_the_user(std::filesystem::path const& out);

/// What was lost of `before` in `after`, a sentence each; `known` has what a run may leave. Neither the
/// user's files nor, until a newer one is there, a checkpoint may change, nor the rows of the curve up to the newest
/// checkpoint. Everything that has a checkpoint's name is one.
std::vector<std::string> lost(Files const& before, Files const& after, Files const& known);

/// In what `after` differs from what an undisturbed run leaves, besides the user's files and older checkpoints.
std::vector<std::string> differences(Files const& after, Files const& whole);

} // namespace dchag::faults
