// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "benchmarks/support/aggregators.hpp"
#include "benchmarks/support/measure.hpp"
#include "benchmarks/support/resident.hpp"

/// \file
/// One forward and backward of tokenizer and aggregation, at the size of the paper's hyperspectral images. Bytes of the
/// rank that needs most:
///
///   peak          resident memory of the process: program, libraries, parameters, image and scratch
///   kokkos_peak   allocated through Kokkos
///   parameters    parameters and their gradients
///   held          between forward and backward
///   materialized  tokens, keys and values of all channels (3, C, N, D), by formula: what is not stored here
///
/// and time_per_channel in seconds. A case is made anew and runs once. Making it is not timed, but its memory counts.
namespace dchag::bench {
namespace {

constexpr Sizes memory_sizes[] = {all_sizes[0],
                                  {"C256", 2, 32, 256, 2048, 32, 4, 2},
                                  {"C512", 2, 32, 512, 2048, 32, 4, 2},
                                  {"C1024", 2, 32, 1024, 2048, 32, 4, 2}};

double of_all_ranks(std::size_t bytes) {
  return static_cast<double>(comm::all_reduce(ranks(), bytes, comm::Reduce::max));
}

template <class Model>
void run(benchmark::State& state, Sizes const& sizes, Model const& model) {
  bool const reset = reset_peak_resident();
  test::AllocationCounter const all;
  AggregationCase work(sizes, model.make(sizes));
  std::size_t held = 0;
  auto const cost = model.cost(sizes);
  double const seconds = measure<T>(state, concat(sizes.label(), reset ? "" : ", peak of the whole run"),
                                    {.operations = cost.operations, .bytes_sent = cost.sent()}, [&] {
                                      held = work.count_held();
                                      work.backward();
                                    });
  auto const tokens = static_cast<double>(sizes.channels * sizes.rows());
  state.counters["held"] = of_all_ranks(held);
  state.counters["peak"] = of_all_ranks(peak_resident());
  state.counters["kokkos_peak"] = of_all_ranks(all.peak());
  state.counters["parameters"] = of_all_ranks(2 * sizeof(T) * parameter_count(work.aggregator()));
  state.counters["materialized"] = 3 * tokens * static_cast<double>(sizes.width * sizeof(T));
  state.counters["time_per_channel"] = seconds / static_cast<double>(sizes.channels);
}

template <class Model>
void add_model(std::string const& title, Sizes const& sizes, Model const& model) {
  add(concat(title, '/', sizes.name), [=](benchmark::State& state) { run(state, sizes, model); })->Iterations(1);
}

bool const registered = [] {
  for (auto const& sizes : memory_sizes) {
    add_model("flat/fused", sizes, Flat());
    add_model("C/Tree0/fused", sizes, Grouped<Tree<CrossAttention>>{rank_count});
    add_model("exact", sizes, Exact());
    add_model("L/Tree0/fused", sizes, Grouped<Tree<Linear>>{rank_count});
  }
  return true;
}();

} // namespace
} // namespace dchag::bench
