// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/comm/session.hpp>

#include "benchmarks/support/kept.hpp"
#include "benchmarks/support/roof.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <optional>
#include <ostream>
#include <string_view>

namespace dchag::bench {
namespace {

std::optional<comm::Communicator> s_ranks;
Roof s_roof;

/// For the ranks that run along but do not speak.
class Silent : public benchmark::BenchmarkReporter {
public:
  Silent() : m_nowhere(nullptr) {
    SetOutputStream(&m_nowhere);
    SetErrorStream(&m_nowhere);
  }
  bool ReportContext(Context const&) override { return true; }
  void ReportRuns(std::vector<Run> const&) override {}

private:
  std::ostream m_nowhere;
};

std::string rate_text(double rate, char const* unit) {
  char text[64];
  std::snprintf(text, sizeof text, "%.1f %s", rate * 1e-9, unit);
  return text;
}

void add_context() {
  char mpi[MPI_MAX_LIBRARY_VERSION_STRING] = {};
  int length = 0;
  MPI_Get_library_version(mpi, &length);
  std::string_view const version(mpi, static_cast<std::size_t>(length));
  Kokkos::DefaultExecutionSpace const exec;
  using benchmark::AddCustomContext;
  AddCustomContext("commit", DCHAG_BENCHMARK_COMMIT);
  AddCustomContext("compiler", DCHAG_BENCHMARK_COMPILER);
  AddCustomContext("Kokkos", concat(KOKKOS_VERSION / 10000, '.', KOKKOS_VERSION / 100 % 100, '.', KOKKOS_VERSION % 100,
                                    ", ", exec.name(), ", concurrency ", concurrency(exec)));
  AddCustomContext("MPI", std::string(version.substr(0, version.find_first_of(",\n"))));
  AddCustomContext("ranks", std::to_string(s_ranks->size()));
  AddCustomContext("host gemm", DCHAG_BENCHMARK_GEMM);
  AddCustomContext("roof: copy", rate_text(s_roof.copy, "GB/s read and written"));
  AddCustomContext("roof: product 1024^3", concat(rate_text(s_roof.product_float, "GFLOP/s float, "),
                                                  rate_text(s_roof.product_double, "GFLOP/s double")));
  AddCustomContext("Eigen alone 1024^3", concat(rate_text(s_roof.eigen_float, "GFLOP/s float, "),
                                                rate_text(s_roof.eigen_double, "GFLOP/s double")));
}

int run(int argc, char** argv) {
  bool const speaks = s_ranks->rank() == 0;
  if (!speaks) { // one report, one file
    auto* const end = std::remove_if(argv + 1, argv + argc,
                                     [](std::string_view argument) { return argument.starts_with("--benchmark_out"); });
    argc = static_cast<int>(end - argv);
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  s_roof = measure_roof(*s_ranks);
  add_context();
  Silent silent;
  if (speaks)
    benchmark::RunSpecifiedBenchmarks();
  else
    benchmark::RunSpecifiedBenchmarks(&silent);
  forget_kept();
  benchmark::Shutdown();
  return 0;
}

} // namespace

Roof const& roof() {
  return s_roof;
}
comm::Communicator const& ranks() {
  return *s_ranks;
}

} // namespace dchag::bench

int main(int argc, char** argv) {
  dchag::comm::Session const session(argc, argv);
  Kokkos::ScopeGuard const kokkos(argc, argv);
  auto& ranks = dchag::bench::s_ranks.emplace();
  int const code = dchag::comm::run_main(ranks, [&] { return dchag::bench::run(argc, argv); });
  dchag::bench::s_ranks.reset(); // before MPI and Kokkos end
  return code;
}
