// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/comm/agree.hpp>

#include <iostream>

namespace dchag::comm {

/// MPI for the duration of a main(): initialized unless it is running already, and finalized by whoever initialized it.
/// Communicators, and Kokkos if it is to run before or after, are declared after it.
/// Collective: all processes.
/// Throws: CommError if MPI has been finalized, or cannot be called by one thread of several.
class Session {
public:
  Session(int& argc, char**& argv) {
    int initialized = 0;
    int finalized = 0;
    MPI_Initialized(&initialized);
    MPI_Finalized(&finalized);
    require<CommError>(finalized == 0, "Session: MPI is already finalized and cannot be initialized again");
    if (initialized != 0) return;
    int provided = MPI_THREAD_SINGLE;
    detail::check(MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread");
    m_finalize = true;
    if (provided < MPI_THREAD_FUNNELED) {
      MPI_Finalize();
      throw CommError("Session: MPI allows no threads beside it, expected at least MPI_THREAD_FUNNELED");
    }
  }
  Session(Session const&) = delete;
  Session& operator=(Session const&) = delete;
  ~Session() {
    if (m_finalize) MPI_Finalize();
  }

private:
  bool m_finalize = false;
};

/// Returns what f returns, for main to return. An exception that leaves f is printed on stderr as "error: <message>":
/// if every rank of the communicator throws it (see `collectively`), by rank 0, and all ranks return 1; if not, by the
/// rank that throws, which then ends the program on all ranks with code 1, so that none waits for it. Collective: all
/// ranks; sends nothing itself.
template <class F>
int run_main(Communicator const& communicator, F const& f) {
  auto const print = [](std::string const& sentence) { std::cerr << concat("error: ", sentence, '\n') << std::flush; };
  try {
    return f();
  } catch (std::exception const& error) {
    auto const* const together = dynamic_cast<ThrownTogether const*>(&error);
    bool const everywhere = together != nullptr && together->ranks == communicator.size();
    if (!everywhere || communicator.rank() == 0) print(error.what());
    if (everywhere) return 1;
  } catch (...) {
    print("something was thrown that is not a std::exception");
  }
  MPI_Abort(communicator.native(), 1);
  return 1;
}

} // namespace dchag::comm
