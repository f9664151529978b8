// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause

// A simulation hands its own Views to an aggregator, without a copy: 40 fields in the solver's layout, with halos,
// become one token per patch. The model knows the fields by name, so it takes any of them in any order. The gradient by
// the fields comes back in the same layout: to which field, and where, is the result sensitive?

#include <dchag/channels/channel_aggregator.hpp>
#include <dchag/channels/channel_set.hpp>

#include <Kokkos_Core.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace {

using Space = Kokkos::DefaultExecutionSpace;
using State = Kokkos::View<double***, Kokkos::LayoutLeft, Space>; // (x, y, field), a halo of one cell around x and y
using Fields = Kokkos::View<double****, Kokkos::LayoutStride, Space>;

constexpr std::size_t edge = 32; // cells along x and y
constexpr std::size_t levels = 10;
constexpr char const* variables[] = {"temperature", "humidity", "wind_u", "wind_v"};

// The solver keeps a level's variables together: field = 4 level + variable.
std::string field_name(std::size_t field) {
  return dchag::concat(variables[field % 4], '_', field / 4);
}

void start(State const& state) {
  using Range = Kokkos::MDRangePolicy<Space, Kokkos::Rank<3>>;
  Kokkos::parallel_for(
      "start", Range({0, 0, 0}, {edge + 2, edge + 2, 4 * levels}),
      KOKKOS_LAMBDA(int x, int y, int field) { state(x, y, field) = (((x + 3 * field) % 16) * (y % 8) - 20) / 32.0; });
}

// One upwind step with the wind along x, slower in higher fields; the halo stays as it is.
void advect(State const& from, State const& to) {
  using Range = Kokkos::MDRangePolicy<Space, Kokkos::Rank<3>>;
  Kokkos::deep_copy(to, from);
  Kokkos::parallel_for(
      "advect", Range({1, 1, 0}, {edge + 1, edge + 1, 4 * levels}), KOKKOS_LAMBDA(int x, int y, int field) {
        double const courant = 0.5 / (1 + field / 4);
        to(x, y, field) = from(x, y, field) - courant * (from(x, y, field) - from(x - 1, y, field));
      });
}

// The interior of every second field as an image (1, planes, y, x): strides say it all, nothing is copied.
Fields interior(State const& state) {
  auto const inside = Kokkos::pair(std::size_t{1}, edge + 1);
  auto const cells = Kokkos::subview(state, inside, inside, Kokkos::ALL);
  return Fields(cells.data(), Kokkos::LayoutStride(1, 0, 2 * levels, 2 * cells.stride(2), edge, cells.stride(1), edge,
                                                   cells.stride(0)));
}

double half_square(dchag::Tensor<Space, double, 3> const& y) {
  double sum = 0;
  Kokkos::parallel_reduce(
      "half_square", y.size(), KOKKOS_LAMBDA(std::size_t i, double& part) { part += y.data()[i] * y.data()[i] / 2; },
      sum);
  return sum;
}

void run() {
  State state("state", edge + 2, edge + 2, 4 * levels);
  State next("next", edge + 2, edge + 2, 4 * levels);
  start(state);
  for (int step = 0; step < 10; ++step) {
    advect(state, next);
    std::swap(state, next);
  }

  // The model: its channels are variable after variable, all levels of each. Its weights would come from a training.
  std::vector<std::string> names;
  for (auto const* variable : variables)
    for (std::size_t level = 0; level < levels; ++level) names.push_back(dchag::concat(variable, '_', level));
  dchag::ChannelSet const known(names);
  dchag::Workspace<Space> workspace;
  using Aggregator = dchag::ChannelAggregator<Space, double, dchag::Tree<dchag::CrossAttention, 4>>;
  Aggregator const model(workspace.exec(), {.channels = known.size(), .patch = 8, .width = 32, .heads = 4});

  // What is given to it today: every second field, which are the temperatures and the winds along x.
  std::vector<std::string> given;
  for (std::size_t field = 0; field < 4 * levels; field += 2) given.push_back(field_name(field));
  auto const channels = known.select(given);
  dchag::Image const image{interior(state), channels};
  auto const tokens = dchag::allocate<double>(workspace.exec(), "tokens", dchag::Extents<3>{1, 16, 32}); // (B, L, D)
  Aggregator::Context context;
  model.forward(workspace, context, image, tokens);
  double const before = half_square(tokens);
  std::printf("%zu of %zu fields -> %zu tokens of %zu numbers, half their square %.6f\n", given.size(), known.size(),
              tokens.extent(1), tokens.extent(2), before);

  // The gradient of that number by every cell, in the solver's own layout.
  State const sensitivity("sensitivity", edge + 2, edge + 2, 4 * levels);
  model.backward(workspace, context, image, tokens, interior(sensitivity));
  auto const host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), sensitivity);
  std::vector<std::pair<double, std::size_t>> order; // by the norm over all cells
  for (std::size_t field = 0; field < 4 * levels; field += 2) {
    double sum = 0;
    for (std::size_t y = 1; y <= edge; ++y)
      for (std::size_t x = 1; x <= edge; ++x) sum += host(x, y, field) * host(x, y, field);
    order.push_back({std::sqrt(sum), field});
  }
  std::ranges::sort(order, std::greater());
  std::printf("most sensitive to:\n");
  for (std::size_t i = 0; i < 3; ++i)
    std::printf("  %-14s %.6f\n", field_name(order[i].second).c_str(), order[i].first);

  // Does it tell the truth? Warm one cell and look.
  std::size_t const field = order[0].second;
  auto const cell = Kokkos::subview(state, 17, 9, field);
  Kokkos::parallel_for(
      "warm", 1, KOKKOS_LAMBDA(int) { cell() += 1e-4; });
  model.forward(workspace, context, image, tokens);
  std::printf("one cell: gradient %.3e, difference %.3e\n", host(17, 9, field), (half_square(tokens) - before) / 1e-4);
}

} // namespace

int main() {
  Kokkos::ScopeGuard const kokkos;
  run();
}

// Prints:
//   20 of 40 fields -> 16 tokens of 32 numbers, half their square 19.737983
//   most sensitive to:
//     wind_u_3       0.352338
//     wind_u_5       0.348576
//     wind_u_2       0.344687
//   one cell: gradient 5.682e-03, difference 5.682e-03
