// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "run.hpp"

#include <chrono>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <sstream>
#include <support/launched.hpp>

namespace dchag::faults {
namespace {

namespace fs = std::filesystem;

/// Six steps of a model of eight bands, a checkpoint after every second, a row of the curve after every step.
std::vector<std::string> settings(int ranks) {
  std::istringstream words("--crop 8 --patch 2 --test-count 1 --model c0@4 --width 16 --heads 2 --depth 1 "
                           "--decoder-width 16 --decoder-depth 1 --decoder-heads 2 --batch 4 --steps 6 --warmup 1 "
                           "--evaluations 6 --checkpoint-every 2 --dropout 0.1");
  std::vector<std::string> list{std::istream_iterator<std::string>(words), {}};
  if (ranks == 4) list.insert(list.end(), {"--mesh", "2x2x1"}); // parameters shared too
  return list;
}

/// Lines of stderr without what a launcher adds when a rank fails: boxes of Open MPI and MPICH, and lines of theirs.
std::vector<std::string> own_lines(fs::path const& path) {
  std::ifstream file(path);
  std::vector<std::string> own;
  bool boxed = false;
  for (std::string line; std::getline(file, line);) {
    if (line.size() > 40 && line.find_first_not_of(line[0]) == line.npos && (line[0] == '-' || line[0] == '=')) {
      boxed = !boxed;
      continue;
    }
    bool launchers = boxed || line.find_first_not_of(" \r") == line.npos;
    for (char const* const words :
         {"more process has sent help message", "more processes have sent help message",
          "Set MCA parameter \"orte_base_help_aggregate\"", "application called MPI_Abort", "Abort(1) on node",
          "YOUR APPLICATION TERMINATED", "This typically refers to", "ORTE_ERROR_LOG", "[proxy:", "[mpiexec@"})
      launchers = launchers || line.find(words) != line.npos;
    if (!launchers) own.push_back(line);
  }
  return own;
}

/// The reports of all ranks.
std::vector<std::string> report_lines(fs::path const& report, int rank) {
  std::ifstream file(report.string() + '.' + std::to_string(rank));
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

} // namespace

bool Outcome::succeeded() const {
  return status && WIFEXITED(*status) && WEXITSTATUS(*status) == 0;
}

std::string Outcome::text() const {
  std::string all;
  for (auto const* lines : {&output, &errors})
    for (auto const& line : *lines) all += "    | " + line + '\n';
  return all;
}

Counts read_counts(fs::path const& report, int ranks) {
  Counts counts(static_cast<std::size_t>(ranks));
  for (int rank = 0; rank < ranks; ++rank)
    for (auto const& line : report_lines(report, rank)) {
      std::istringstream words(line);
      std::string word, call;
      long count = 0;
      if (words >> word >> call >> count && word == "count") counts[static_cast<std::size_t>(rank)][call] = count;
    }
  return counts;
}

Outcome run(Setup const& setup, int ranks, fs::path const& scratch, bool resume, Fault const& fault,
            std::string const& struck_folder, fs::path const& wanted_report) {
  auto const out = scratch / "out";
  auto const errors = scratch / "stderr";
  auto const report = wanted_report.empty() ? scratch / "report" : wanted_report;
  for (int rank = 0; rank < ranks; ++rank) fs::remove(report.string() + '.' + std::to_string(rank));
  std::vector<std::string> command;
  if (ranks > 1) {
    command = setup.launcher;
    command.push_back(std::to_string(ranks));
  }
  auto const folders = struck_folder.empty() ? out.string() + ':' + setup.data.string() : struck_folder;
  command.insert(command.end(),
                 {"env", "LD_PRELOAD=" + setup.library.string(), "DCHAG_FAULT_FOLDERS=" + folders,
                  "DCHAG_FAULT_RANK=" + std::to_string(fault.rank), "DCHAG_FAULT_REPORT=" + report.string(),
                  "DCHAG_FAULT_BYTES=" + std::to_string(1 << 15)});
  if (!fault.call.empty())
    command.push_back("DCHAG_FAULT=" + fault.call + ' ' + std::to_string(fault.at) + ' ' + fault.how);
  command.push_back(setup.program.string());
  auto const words = settings(ranks);
  command.insert(command.end(), words.begin(), words.end());
  command.insert(command.end(), {"--data", setup.data.string(), "--out", out.string()});
  if (resume) command.push_back("--resume");

  Outcome outcome;
  auto const begin = test::Launched::Clock::now();
  auto const until = begin + std::chrono::seconds(setup.limit);
  {
    test::Launched program(command, errors);
    for (std::string line; program.next_line(line, until);) outcome.output.push_back(line);
    outcome.status = program.wait(until);
  }
  outcome.seconds = std::chrono::duration<double>(test::Launched::Clock::now() - begin).count();
  outcome.errors = own_lines(errors);
  for (auto const& line : report_lines(report, fault.rank)) {
    std::istringstream text(line);
    std::string word, call, count, what;
    if (text >> word >> call >> count && word == "struck") {
      std::getline(text >> std::ws, what);
      outcome.struck = what;
    }
  }
  return outcome;
}

} // namespace dchag::faults
