// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/comm/agree.hpp>
#include <dchag/comm/detail/launch.hpp>

#include <chrono>
#include <cstdio>
#include <iostream>
#include <thread>

namespace dchag::comm {

/// MPI for the duration of a main(): initialized unless it is running already, and finalized by whoever initialized it.
/// Communicators, and Kokkos if it is to run before or after, are declared after it.
///
/// A program of one MPI that is started by another's `mpiexec` (or by an `srun` that does not know its MPI) becomes as
/// many worlds of one rank as there are processes, all of which would do the whole work and write the same files. So a
/// world of one rank is an error where a launcher's variables say that it started several processes:
/// OMPI_COMM_WORLD_SIZE (Open MPI), PMI_SIZE and MPI_LOCALNRANKS (MPICH, Intel MPI), PALS_LOCAL_SIZE (Cray PALS),
/// SLURM_STEP_NUM_TASKS (srun). Not counted are those of a Slurm batch script, which is one process, and processes that
/// MPI itself spawned. A program that is to be alone in each process of such a launch is started with
/// DCHAG_SINGLE_RANKS, a number above 0, in its environment.
///
/// Collective: all processes.
/// Throws: CommError if MPI has been finalized; if its level of threads is MPI_THREAD_SINGLE, which allows none beside
/// that which calls it (OpenMP's, say), whoever initialized it; if a launcher started several processes, as above.
class Session {
public:
  Session(int& argc, char**& argv) {
    int initialized = 0;
    int finalized = 0;
    MPI_Initialized(&initialized);
    MPI_Finalized(&finalized);
    require<CommError>(finalized == 0, "Session: MPI is already finalized and cannot be initialized again");
    auto const launch = detail::launch(detail::environment); // before MPI_Init, which may set such variables itself
    if (initialized == 0) {
      int provided = MPI_THREAD_SINGLE;
      detail::check(MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread");
    }
    try {
      require_threads(initialized != 0);
      detail::require_one_world(launch);
    } catch (CommError const&) {
      if (initialized == 0) MPI_Finalize();
      throw;
    }
    m_finalize = initialized == 0;
  }
  Session(Session const&) = delete;
  Session& operator=(Session const&) = delete;
  ~Session() {
    if (m_finalize) MPI_Finalize();
  }

private:
  static void require_threads(bool by_caller) {
    int provided = MPI_THREAD_SINGLE;
    detail::check(MPI_Query_thread(&provided), "MPI_Query_thread");
    require<CommError>(provided >= MPI_THREAD_FUNNELED, "Session: MPI ",
                       by_caller ? "was initialized with" : "provides only", " MPI_THREAD_SINGLE, expected at least",
                       " MPI_THREAD_FUNNELED", by_caller ? " (MPI_Init_thread in place of MPI_Init)" : "");
  }

  bool m_finalize = false;
};

namespace detail {
/// The sentence of the exception that is being handled, in one piece, also where there is no memory to make it.
inline void print_current_error() {
  try {
    std::cerr << concat("error: ", current_sentence(), '\n') << std::flush;
  } catch (...) {
    std::fputs("error: out of memory\n", stderr);
  }
}
} // namespace detail

/// Returns what f returns, for main to return. An exception that leaves f is printed on stderr as "error: <message>":
/// if every rank of the communicator throws it (see `collectively`), by rank 0, and all ranks return 1; if not, by the
/// rank that throws, which then ends the program on all ranks with code 1, so that none waits for it. Collective: all
/// ranks; sends nothing itself.
template <class F>
int run_main(Communicator const& communicator, F const& f) {
  try {
    return f();
  } catch (ThrownTogether const& together) {
    bool const everywhere = together.ranks == communicator.size();
    if (!everywhere || communicator.rank() == 0) detail::print_current_error();
    if (everywhere) return 1;
  } catch (...) {
    detail::print_current_error();
  }
  MPI_Abort(communicator.native(), 1);
  return 1;
}

/// Returns what f() returns, for main to return; a `Session` lives while it runs. If there can be none, "error: <why>"
/// is printed on stderr, by the first process of the launch a second before the others, and all return 1. What leaves f
/// on a rank, because it has no memory for a communicator for instance, is printed too, and ends all ranks with code 1.
/// Collective: all processes.
template <class F>
int run_main(int& argc, char**& argv, F const& f) {
  int const process = detail::launch(detail::environment).process;
  std::optional<Session> session;
  try {
    session.emplace(argc, argv);
  } catch (CommError const&) {
    // Launchers end all processes when one of them ends in failure: most others are not heard.
    if (process > 0) std::this_thread::sleep_for(std::chrono::seconds(1));
    detail::print_current_error();
    return 1;
  }
  try {
    return f();
  } catch (...) {
    detail::print_current_error();
  }
  MPI_Abort(MPI_COMM_WORLD, 1);
  return 1;
}

} // namespace dchag::comm
