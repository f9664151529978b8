// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/comm/collectives.hpp>

#include "benchmarks/support/roof.hpp"

#include <benchmark/benchmark.h>

#include <chrono>
#include <string>

namespace dchag::bench {

/// What one iteration does, by formula or count.
struct Work {
  double operations = 0;      ///< useful ones of all ranks together: what ranks repeat counts once
  std::size_t bytes_held = 0; ///< between forward and backward on this rank, counted
  double bytes_sent = 0;      ///< given to MPI by each rank, by formula
};

/// Times the body: fences on both sides of the clock, the slowest rank's time. Counters:
///   FLOP/s  operations a second of all ranks together
///   roof    the same as a share of the product that was measured at the start of this run, in the same scalar type
///   held    bytes between forward and backward, of the rank that holds most
///   sent    bytes that each rank gives to MPI: its block of a gather, the whole vector of a reduction
/// Returns the seconds of one iteration, the same on all ranks.
template <class T, class Body>
double measure(benchmark::State& state, std::string const& label, Work const& work, Body const& body) {
  using Clock = std::chrono::steady_clock;
  double total = 0;
  for (auto _ : state) {
    Kokkos::fence();
    comm::all_reduce(ranks(), 0, comm::Reduce::sum); // start together
    auto const begin = Clock::now();
    body();
    Kokkos::fence();
    double const own = std::chrono::duration<double>(Clock::now() - begin).count();
    double const slowest = comm::all_reduce(ranks(), own, comm::Reduce::max);
    state.SetIterationTime(slowest);
    total += slowest;
  }
  double const rate = work.operations * static_cast<double>(state.iterations()) / total;
  state.counters["FLOP/s"] = rate;
  state.counters["roof"] = rate / roof().product<T>();
  state.counters["held"] = static_cast<double>(comm::all_reduce(ranks(), work.bytes_held, comm::Reduce::max));
  state.counters["sent"] = work.bytes_sent;
  state.SetLabel(label);
  return total / static_cast<double>(state.iterations());
}

/// Registers a benchmark that is timed by `measure`.
template <class F>
benchmark::internal::Benchmark* add(std::string const& name, F const& f) {
  return benchmark::RegisterBenchmark(name.c_str(), f)->UseManualTime()->Unit(benchmark::kMillisecond);
}

} // namespace dchag::bench
