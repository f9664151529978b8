// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/comm/detail/check.hpp>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <string>

/// \file
/// What the environment says of the launcher that started this process.
namespace dchag::comm::detail {

/// A launch of several processes as one job, or of one by itself.
struct Launch {
  int processes = 1;         ///< how many there are, at least
  int process = 0;           ///< which of them this is
  char const* variable = ""; ///< which told how many
};

inline char const* environment(char const* variable) {
  return std::getenv(variable);
}

/// The variable's number; -1 if it is not set or no number.
template <class Lookup>
int number_in(Lookup const& value_of, char const* variable) {
  char const* const text = value_of(variable);
  int number = -1;
  if (text == nullptr) return number;
  auto const* const end = text + std::char_traits<char>::length(text);
  auto const [last, error] = std::from_chars(text, end, number);
  return error == std::errc() && last == end ? number : -1;
}

/// `value_of(variable)` is as `environment`. A launch inside another inherits its variables: an `mpiexec` that says
/// that it started one process is believed, whatever others say, and srun is asked only if no `mpiexec` has spoken.
template <class Lookup>
Launch launch(Lookup const& value_of) {
  struct Variables {
    char const* processes;
    char const* process;
    bool whole_job; // rather than one node's share of it
  };
  constexpr Variables mpiexecs[] = {{"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", true},
                                    {"PMI_SIZE", "PMI_RANK", true},
                                    {"MPI_LOCALNRANKS", "MPI_LOCALRANKID", false},
                                    {"PALS_LOCAL_SIZE", "PALS_RANKID", false}};
  Launch found;
  bool spoken = false;
  auto const ask = [&](Variables const& variables) {
    int const processes = number_in(value_of, variables.processes);
    spoken = spoken || processes > 0;
    if (processes > found.processes)
      found = {processes, (std::max)(number_in(value_of, variables.process), 0), variables.processes};
    return processes;
  };
  for (auto const& variables : mpiexecs)
    if (ask(variables) == 1 && variables.whole_job) return {};
  // That of the step: SLURM_NTASKS is set in batch scripts too.
  if (!spoken) ask({"SLURM_STEP_NUM_TASKS", "SLURM_PROCID", true});
  return found;
}

/// The name and version of the MPI that this program runs with, "Open MPI v4.1.4".
inline std::string library_name() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING] = {};
  int length = 0;
  check(MPI_Get_library_version(text, &length), "MPI_Get_library_version");
  std::string name(text, static_cast<std::size_t>(length));
  name = trimmed(std::string_view(name).substr(0, name.find_first_of(",\n")));
  std::replace(name.begin(), name.end(), '\t', ' ');
  name.erase(std::unique(name.begin(), name.end(), [](char a, char b) { return a == ' ' && b == ' '; }), name.end());
  return name;
}

/// Throws `CommError` if this rank is alone in its world though the launcher started several processes, and neither
/// MPI_Comm_spawn nor DCHAG_SINGLE_RANKS says that this is meant.
inline void require_one_world(Launch const& launch) {
  int size = 1;
  check(MPI_Comm_size(MPI_COMM_WORLD, &size), "MPI_Comm_size");
  if (size > 1 || launch.processes == 1 || number_in(environment, "DCHAG_SINGLE_RANKS") > 0) return;
  MPI_Comm parent = MPI_COMM_NULL;
  check(MPI_Comm_get_parent(&parent), "MPI_Comm_get_parent");
  require<CommError>(parent != MPI_COMM_NULL, "Session: the world has 1 rank, expected ", launch.processes, " (",
                     launch.variable, "): start the program with the mpiexec, or srun --mpi=<type>, of ",
                     library_name(), ", which it was built with; DCHAG_SINGLE_RANKS=1 lets every process work alone");
}

} // namespace dchag::comm::detail
