// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/models/encoder.hpp>
#include <dchag/parallel/data_parallel.hpp>

#include "benchmarks/support/kept.hpp"
#include "benchmarks/support/measure.hpp"
#include "benchmarks/support/modelled_link.hpp"

#include <chrono>
#include <utility>

/// \file
/// How much of the traffic of parameters and gradients is hidden behind the work: steps of an encoder on replicas whose
/// link moves by itself (`ModelledLink`), at a rate at which all traffic of a step takes `load` of the time in which a
/// step computes. Counters:
///   alone   seconds of a step without the link, measured after each step with it
///   link    seconds for which the link of a rank is busy in a step
///   hidden  the share of those that the step is not longer: 1 - (step - alone) / link
namespace dchag::bench {
namespace {

using Exec = Kokkos::DefaultExecutionSpace;
using T = float;
using parallel::Sharding;

struct Problem {
  char const* name; // "small": what the dry run takes
  std::size_t width, heads, depth, samples;
  Grid grid;
};
constexpr Problem problems[] = {{"small", 16, 2, 3, 1, {2, 2}}, {"d512", 512, 8, 8, 2, {16, 16}}};

class EncoderCase {
public:
  EncoderCase(Problem const& problem, Sharding sharding)
      : m_mesh(ranks(), sharding == Sharding::none ? comm::MeshShape{.data = ranks().size()}
                                                   : comm::MeshShape{.shard = ranks().size()}),
        m_encoder(Exec(), "encoder",
                  {.grid = problem.grid, .width = problem.width, .depth = problem.depth, .heads = problem.heads}, 1),
        m_training(Exec(), m_mesh, m_encoder, sharding),
        m_positions(allocate<std::size_t>(Exec(), "dchag::bench::positions",
                                          Extents<1>{problem.samples * problem.grid.positions()})),
        m_x(allocate<T>(Exec(), "dchag::bench::x",
                        Extents<3>{problem.samples, problem.grid.positions(), problem.width})),
        m_y(allocate<T>(Exec(), "dchag::bench::y", extents_of(m_x))),
        m_d_x(allocate<T>(Exec(), "dchag::bench::d_x", extents_of(m_x))) {
    auto const host = Kokkos::create_mirror_view(m_positions);
    for (std::size_t i = 0; i < host.size(); ++i) host(i) = i % problem.grid.positions();
    Kokkos::deep_copy(m_positions, host);
    Kokkos::deep_copy(m_x, T(0.25));
  }

  void step() {
    m_training.begin_step();
    m_encoder.forward(m_workspace, m_context, m_x, m_positions, m_y);
    m_encoder.backward(m_workspace, m_context, m_positions, m_y, m_d_x); // y stands for its gradient
    m_training.finish_backward();
    m_training.values_changed();
    Kokkos::fence();
  }

  /// The slowest rank's.
  double step_seconds() {
    using Clock = std::chrono::steady_clock;
    comm::all_reduce(ranks(), 0, comm::Reduce::sum); // start together
    auto const begin = Clock::now();
    step();
    return comm::all_reduce(ranks(), std::chrono::duration<double>(Clock::now() - begin).count(), comm::Reduce::max);
  }

private:
  comm::Mesh m_mesh;
  Encoder<Exec, T> m_encoder;
  parallel::DataParallel<Encoder<Exec, T>> m_training;
  Tensor<Exec, std::size_t, 1> m_positions; // (B L)
  Tensor<Exec, T, 3> m_x, m_y, m_d_x;       // (B, L, D)
  Workspace<Exec> m_workspace;
  Encoder<Exec, T>::Context m_context;
};

void run(benchmark::State& state, EncoderCase& work, double load) {
  constexpr double at_once = 1e15;
  ModelledLink::open(at_once);
  work.step(); // counts, and allocates
  double const bytes = ModelledLink::take_busy_seconds() * at_once;
  ModelledLink::close();
  double alone = work.step_seconds();

  double all_alone = 0, all = 0, link = 0;
  for (auto _ : state) {
    ModelledLink::open(bytes / (load * alone));
    double const seconds = work.step_seconds();
    link += ModelledLink::take_busy_seconds();
    ModelledLink::close();
    state.SetIterationTime(seconds);
    all += seconds;
    all_alone += alone = work.step_seconds();
  }
  auto const count = static_cast<double>(state.iterations());
  state.counters["alone"] = all_alone / count;
  state.counters["link"] = link / count;
  if (link > 0) state.counters["hidden"] = 1 - (all - all_alone) / link;
}

bool const registered = [] {
  for (auto const& problem : problems)
    for (auto const& [policy, name] : {std::pair(Sharding::none, "none"), std::pair(Sharding::optimizer, "optimizer"),
                                       std::pair(Sharding::full, "full")}) {
      auto const title = concat("encoder/", name, '/', problem.name);
      for (double const load : {0.25, 0.5, 1.0})
        add(concat(title, "/load:", load), [=](benchmark::State& state) {
          run(state, kept<EncoderCase>(title, [&] { return new EncoderCase(problem, policy); }), load);
        });
    }
  return true;
}();

} // namespace
} // namespace dchag::bench
