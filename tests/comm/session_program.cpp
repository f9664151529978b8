// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/comm/session.hpp>
#include <dchag/core/workspace.hpp>

#include <new>
#include <string_view>
#include <support/sentence.hpp>

namespace comm = dchag::comm;
using dchag::test::sentence_of;

namespace {
// Ends in the way that is named. On three ranks "outside", "alone", "group", "memory" and "nested" leave ranks waiting
// for those that failed.
int run(std::string_view way) {
  comm::Communicator const world;
  if (way == "outside" && world.rank() == 1) throw std::runtime_error("outside of what the communicator guards");
  return comm::run_main(world, [&] {
    int const rank = world.rank();
    if (way == "alone") {
      if (rank == 1) throw dchag::Error("rank 1 alone");
      MPI_Barrier(world.native());
    }
    if (way == "outside") MPI_Barrier(world.native());
    if (way == "group") {
      auto const part = world.split(rank < 2 ? 0 : 1, 0);
      if (rank < 2) comm::collectively(part, [] { throw dchag::Error("ranks 0 and 1"); });
      MPI_Barrier(world.native());
    }
    if (way == "memory") {
      comm::in_stage(world, "building", [&] {
        if (rank == 1) throw std::bad_alloc();
        MPI_Barrier(world.native());
      });
    }
    if (way == "nested") { // what sends to others stands inside of an agreement between groups
      auto const part = world.split(rank < 2 ? 0 : 1, 0);
      comm::agree_between_groups(world, [&] {
        if (rank == 1) throw std::bad_alloc();
        comm::require_same(part, "main", "width", 8);
      });
    }
    if (way == "together") comm::require_same(world, "main", "rank", rank);
    std::cout << dchag::concat("rank ", rank, " of ", world.size(), '\n');
    return 0;
  });
}

/// What begins without Kokkos says so.
int without_kokkos() {
  using Space = Kokkos::DefaultHostExecutionSpace;
  std::string const sentence = ": Kokkos is not initialized, or finalized already; expected a Kokkos::ScopeGuard that "
                               "lives longer";
  dchag::Workspace<Space> workspace;
  auto frame = workspace.frame();
  bool const all = sentence_of([] {
                     dchag::allocate<float>(Space(), "tokens", dchag::Extents<2>{2, 3});
                   }) == "tokens" + sentence &&
                   sentence_of([&] { frame.take<float>(dchag::Extents<1>{5}); }) == "dchag::core::workspace" + sentence;
  return all ? 0 : 5;
}

/// MPI was initialized for programs without threads: a Session refuses it, and leaves it to whoever initialized it.
int single(int& argc, char**& argv) {
  int provided = MPI_THREAD_SINGLE;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_SINGLE, &provided);
  bool const enough = provided > MPI_THREAD_SINGLE; // an MPI may provide more than was asked for
  auto const sentence = sentence_of([&] { comm::Session const session(argc, argv); });
  int finalized = 1;
  MPI_Finalized(&finalized);
  if (finalized == 0) MPI_Finalize();
  std::string const expected = "Session: MPI was initialized with MPI_THREAD_SINGLE, expected at least "
                               "MPI_THREAD_FUNNELED (MPI_Init_thread in place of MPI_Init)";
  return finalized == 0 && sentence == (enough ? "" : expected) ? 0 : 4;
}
} // namespace

int main(int argc, char** argv) {
  std::string_view const way = argc > 1 ? argv[1] : "";
  // Before MPI begins there are no communicators, and no texts of MPI's.
  if (sentence_of([] { comm::Communicator const too_early; }).find("MPI is not initialized") == std::string::npos)
    return 2;
  if (sentence_of([] { comm::detail::check(MPI_ERR_OTHER, "MPI_Init_thread"); }) !=
      dchag::concat("MPI_Init_thread: error code ", MPI_ERR_OTHER))
    return 3;

  if (way == "without_kokkos") return without_kokkos();
  if (way == "single") return single(argc, argv);
  return comm::run_main(argc, argv, [&] { return run(way); });
}
