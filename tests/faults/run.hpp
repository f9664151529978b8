// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace dchag::faults {

/// How the program is started.
struct Setup {
  std::filesystem::path program, library;
  std::vector<std::string> launcher; ///< the words before the number of ranks; one rank runs without
  std::filesystem::path data;
  int limit = 60; ///< seconds
};

/// Which call is struck, as strike.hpp tells.
struct Fault {
  std::string call;
  long at = 0;
  std::string how;
  int rank = 0;

  bool kills() const { return how == "kill" || how == "torn"; }
};

/// What became of a run.
struct Outcome {
  std::optional<int> status;         ///< of `waitpid`; nothing where it did not end in time
  std::vector<std::string> output;   ///< lines of stdout
  std::vector<std::string> errors;   ///< lines of stderr that are not the launcher's
  std::optional<std::string> struck; ///< what was struck, as the report tells: a path, a number of bytes
  double seconds = 0;

  bool succeeded() const;
  std::string text() const; ///< all lines
};

/// How often each rank called what.
using Counts = std::vector<std::map<std::string, long>>;
Counts read_counts(std::filesystem::path const& report, int ranks);

/// Runs the program in `scratch / "out"`, or goes on there. `struck_folder`: whose files count, `scratch / "out"` and
/// the data if empty. `report`: where the calls are counted; beside the output if empty.
Outcome run(Setup const& setup, int ranks, std::filesystem::path const& scratch, bool resume, Fault const& fault = {},
            std::string const& struck_folder = {}, std::filesystem::path const& report = {});

} // namespace dchag::faults
