// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#define DOCTEST_CONFIG_IMPLEMENT
#include <Kokkos_Core.hpp>
#include <doctest/doctest.h>
#include <mpi.h>

#include <cstdio>
#include <sstream>

// One program on any number of ranks: every rank runs every test; the verdict of the slowest is everybody's. What a
// rank other than 0 says is printed only if it failed, so that one copy of the report is read.
int main(int argc, char** argv) {
  int threads = MPI_THREAD_SINGLE;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &threads); // as a Session would
  int rank = 0;
  int size = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  int failed = 0;
  {
    Kokkos::ScopeGuard const kokkos(argc, argv);
    doctest::Context context(argc, argv);
    std::ostringstream report;
    if (rank != 0) context.setCout(&report);
    failed = context.run();
    if (failed != 0 && rank != 0) std::printf("rank %d of %d:\n%s", rank, size, report.str().c_str());
  }
  MPI_Allreduce(MPI_IN_PLACE, &failed, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
  MPI_Finalize();
  return failed;
}
