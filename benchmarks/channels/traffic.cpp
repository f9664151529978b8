// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "benchmarks/support/aggregators.hpp"
#include "benchmarks/support/measure.hpp"
#include "tests/support/pmpi.hpp"

/// \file
/// What ranks tell each other: bytes of one rank, counted between the library and MPI, forward and backward by
/// themselves. `given` is handed to MPI, the own block of a gather or the whole vector of a reduction; `received` comes
/// back, the other P - 1 blocks or as whole a vector. A count that is not the formula's is an error.
namespace dchag::bench {
namespace {

struct Traffic {
  std::size_t calls = 0, given = 0, received = 0;
};

template <class Body>
Traffic count(Body const& body) {
  support::CommCount const counted;
  body();
  std::size_t const gathered = counted.bytes_sent("MPI_Allgather");
  std::size_t const given = counted.total_bytes_sent();
  return {counted.total_calls(), given, given - gathered + (rank_count() - 1) * gathered};
}

void report(benchmark::State& state, std::string const& pass, Traffic const& traffic) {
  auto const of_all_ranks = [](std::size_t n) {
    return static_cast<double>(comm::all_reduce(ranks(), n, comm::Reduce::max));
  };
  state.counters[pass + "_calls"] = of_all_ranks(traffic.calls);
  state.counters[pass + "_given"] = of_all_ranks(traffic.given);
  state.counters[pass + "_received"] = of_all_ranks(traffic.received);
}

template <class Model>
void run(benchmark::State& state, Sizes const& sizes, Model const& model) {
  AggregationCase work(sizes, model.make(sizes));
  std::size_t const held = work.count_held();
  auto const forward = count([&] { work.forward(); });
  auto const backward = count([&] { work.backward(); });
  auto const cost = model.cost(sizes);
  bool const differs =
      static_cast<double>(forward.given) != cost.forward || static_cast<double>(backward.given) != cost.backward;
  if (comm::all_reduce(ranks(), differs ? 1 : 0, comm::Reduce::max) == 1) {
    state.SkipWithError(
        concat("counted ", forward.given, " and ", backward.given, ", expected ", cost.forward, " and ", cost.backward)
            .c_str());
    return;
  }
  measure<T>(state, concat(sizes.label(), " P ", rank_count()), {cost.operations, held, cost.sent()},
             [&] { work.step(); });
  report(state, "forward", forward);
  report(state, "backward", backward);
}

template <class Model>
void add_model(std::string const& title, Sizes const& sizes, Model const& model) {
  add(concat(title, '/', sizes.name), [=](benchmark::State& state) { run(state, sizes, model); })->Iterations(1);
}

// The same model on 1, 2 and 4 ranks.
std::size_t groups() {
  return 4;
}

bool const registered = [] {
  for (auto const& sizes : {all_sizes[0], all_sizes[1]}) {
    add_model("exact", sizes, Exact());
    add_model("C/Tree0/fused", sizes, Grouped<Tree<CrossAttention>>{groups});
    add_model("tokens", sizes, Tokens());
  }
  return true;
}();

} // namespace
} // namespace dchag::bench
