// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause

// A solver that is spread over ranks by fields: each rank computes some of 40 fields and keeps them. One AllGather of
// one token per patch and group, instead of all fields, gives every rank the same tokens of all of them, and each rank
// gets the gradient by its own fields without communication. The result does not depend on the number of ranks:
//
//   mpiexec -n 2 aggregate_across_ranks

#include <dchag/channels/distributed_aggregator.hpp>
#include <dchag/comm/session.hpp>

#include <Kokkos_Core.hpp>

#include <cmath>
#include <cstdio>

namespace {

using Space = Kokkos::DefaultExecutionSpace;
using State = Kokkos::View<double****, Space>; // (member, own field, y, x), two members of an ensemble

constexpr std::size_t members = 2;
constexpr std::size_t edge = 16; // cells along x and y

// Field f of the whole run, wherever it lies.
void start(State const& state, std::size_t first_field) {
  using Range = Kokkos::MDRangePolicy<Space, Kokkos::Rank<4>>;
  Kokkos::parallel_for(
      "start", Range({0, 0, 0, 0}, {members, static_cast<std::int64_t>(state.extent(1)), edge, edge}),
      KOKKOS_LAMBDA(std::size_t b, std::size_t own, std::size_t y, std::size_t x) {
        std::size_t const f = first_field + own;
        state(b, own, y, x) = static_cast<double>((x + 3 * f + b) % 16 * (y % 11)) / 32.0 - 1;
      });
}

// One explicit step of diffusion, periodic; it is weaker in higher fields.
void diffuse(State const& from, State const& to, std::size_t first_field) {
  using Range = Kokkos::MDRangePolicy<Space, Kokkos::Rank<4>>;
  Kokkos::parallel_for(
      "diffuse", Range({0, 0, 0, 0}, {members, static_cast<std::int64_t>(from.extent(1)), edge, edge}),
      KOKKOS_LAMBDA(std::size_t b, std::size_t f, std::size_t y, std::size_t x) {
        double const around = from(b, f, y, (x + 1) % edge) + from(b, f, y, (x + edge - 1) % edge) +
                              from(b, f, (y + 1) % edge, x) + from(b, f, (y + edge - 1) % edge, x);
        double const strength = 0.2 / static_cast<double>(1 + (first_field + f) / 8);
        to(b, f, y, x) = from(b, f, y, x) + strength * (around / 4 - from(b, f, y, x));
      });
}

// Any contiguous View's numbers: their sum, and the sum of their squares.
std::pair<double, double> sums(Kokkos::View<double const*, Space> const& numbers) {
  double sum = 0;
  double squares = 0;
  Kokkos::parallel_reduce(
      "sum", numbers.size(), KOKKOS_LAMBDA(std::size_t i, double& part) { part += numbers(i); }, sum);
  Kokkos::parallel_reduce(
      "squares", numbers.size(), KOKKOS_LAMBDA(std::size_t i, double& part) { part += numbers(i) * numbers(i); },
      squares);
  return {sum, squares};
}

int run(dchag::comm::Communicator const& ranks) {
  // The groups belong to the model, the ranks to the run: 1, 2 or 4 of them share 4 groups of 10 fields.
  dchag::Workspace<Space> workspace;
  using Aggregator = dchag::DistributedAggregator<Space, double, dchag::Tree<dchag::Linear, 2>>;
  Aggregator const model(workspace.exec(), ranks, {.channels = 40, .groups = 4, .patch = 8, .width = 32, .heads = 4});

  // Each rank solves for the fields that the model wants of it.
  auto const own = model.own_channels();
  State state("state", members, own.size(), edge, edge);
  State next("next", members, own.size(), edge, edge);
  start(state, own.begin);
  for (int step = 0; step < 10; ++step) {
    diffuse(state, next, own.begin);
    std::swap(state, next);
  }

  // Once, before the first step: do the ranks agree? Then forward as often as there is something new.
  Aggregator::Context context;
  model.check(workspace.exec(), context, state);
  auto const tokens =
      dchag::allocate<double>(workspace.exec(), "tokens", dchag::Extents<3>{members, 4, 32}); // (B, L, D)
  model.forward(workspace, context, state, tokens);

  // The gradient of half the square of all tokens is the tokens themselves.
  State const sensitivity("sensitivity", members, own.size(), edge, edge);
  model.backward(workspace, context, state, tokens, sensitivity);

  auto const flat = [](auto const& view) {
    return Kokkos::View<double const*, Space>(view.data(), view.size()); // in whatever order
  };
  using dchag::comm::Reduce;
  auto const fields = dchag::comm::all_reduce(ranks, own.size(), Reduce::sum);
  double const squares = dchag::comm::all_reduce(ranks, sums(flat(sensitivity)).second, Reduce::sum);
  auto const host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), tokens);
  if (ranks.rank() == 0) {
    std::printf("%zu fields -> %zu tokens of %zu numbers\n", fields, members * tokens.extent(1), tokens.extent(2));
    for (std::size_t b = 0; b < members; ++b) {
      std::printf("member %zu: sums of its tokens", b);
      for (std::size_t l = 0; l < tokens.extent(1); ++l) {
        double sum = 0;
        for (std::size_t j = 0; j < tokens.extent(2); ++j) sum += host(b, l, j);
        std::printf(" %.6f", sum);
      }
      std::printf("\n");
    }
    std::printf("norm of the gradient by all fields %.6f\n", std::sqrt(squares));
  }
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  return dchag::comm::run_main(argc, argv, [&] { // between MPI's beginning and end
    Kokkos::ScopeGuard const kokkos;             // is handed no arguments: it would answer --help with its own
    dchag::comm::Communicator const ranks(MPI_COMM_WORLD);
    return dchag::comm::run_main(ranks, [&] { return run(ranks); });
  });
}

// Prints:
//   40 fields -> 8 tokens of 32 numbers
//   member 0: sums of its tokens 0.737756 1.352187 0.353758 2.003093
//   member 1: sums of its tokens 0.710936 1.290934 0.945044 1.711754
//   norm of the gradient by all fields 1.566037
