// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/comm/session.hpp>

#include <string_view>

namespace comm = dchag::comm;

// Ends in the way its argument names. On three ranks "alone" and "group" leave ranks waiting for those that failed.
int main(int argc, char** argv) {
  std::string_view const way = argc > 1 ? argv[1] : "";
  try {
    comm::Communicator const too_early;
    return 2;
  } catch (dchag::CommError const& error) {
    if (std::string_view(error.what()).find("MPI is not initialized") == std::string_view::npos) return 3;
  }

  comm::Session const session(argc, argv);
  comm::Communicator const world;
  return comm::run_main(world, [&] {
    int const rank = world.rank();
    if (way == "alone") {
      if (rank == 1) throw dchag::Error("rank 1 alone");
      MPI_Barrier(world.native());
    }
    if (way == "group") {
      auto const part = world.split(rank < 2 ? 0 : 1, 0);
      if (rank < 2) comm::collectively(part, [] { throw dchag::Error("ranks 0 and 1"); });
      MPI_Barrier(world.native());
    }
    if (way == "together") comm::require_same(world, "main", "rank", rank);
    return 0;
  });
}
