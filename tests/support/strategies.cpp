// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <support/strategies.hpp>

namespace dchag::test {
namespace {

/// What a training shows, step by step.
struct TrainingRun {
  Numbers first_gradients; // of this rank's parts
  std::vector<double> losses;
  Numbers values; // at the end
};

/// So many steps on a mesh; the gradients of the first and the values at the end are compared with those of `one`, if
/// given, which holds all of them.
template <class T, class Form>
TrainingRun train_on(comm::Communicator const& world, comm::MeshShape shape, parallel::Sharding sharding,
                     std::size_t steps, MakeStrategy<T> const& make, double rate, TrainingRun const* one = nullptr) {
  StrategyTraining<T, Form> strategy(world, shape, {.sharding = sharding, .recompute = shape.shard > 1, .rate = rate},
                                     make);
  TrainingRun run;
  for (std::size_t step = 0; step < steps; ++step) {
    double const loss = strategy.gradients(step);
    if (step == 0) run.first_gradients = gradients_of(strategy.training);
    if (step == 0 && one != nullptr)
      CHECK(worst_error(run.first_gradients, part_of(one->first_gradients, strategy.training)) <
            tolerance<T>(1e-5, 1e-12));
    run.losses.push_back(strategy.update(loss));
  }
  run.values = values_of(strategy.training);
  if (one != nullptr)
    CHECK(worst_error(run.values, part_of(one->values, strategy.training)) < tolerance<T>(1e-2, 1e-8));
  return run;
}

} // namespace

template <class T, class Form>
void check_strategy(std::string const& name, MakeStrategy<T> const& make, double rate) {
  constexpr std::size_t steps = 50;
  CAPTURE(name);
  comm::Communicator const world;
  auto const self = comm::Communicator::self();
  auto const one = train_on<T, Form>(self, {1, 1, 1}, parallel::Sharding::none, steps, make, rate);
  CHECK(one.losses.back() < 0.95 * one.losses.front()); // it did learn
  for (int tensor = 1; tensor <= world.size(); ++tensor)
    for (auto const& shape : mesh_shapes(world.size(), tensor)) {
      if (shape.ranks() != world.size()) continue;
      CAPTURE(tensor);
      CAPTURE(shape.shard);
      CAPTURE(shape.data);
      auto const sharding = shape.shard == 1 ? parallel::Sharding::none
                            : shape.data > 1 ? parallel::Sharding::optimizer
                                             : parallel::Sharding::full;
      auto const all = train_on<T, Form>(world, shape, sharding, steps, make, rate, &one);
      double worst = 0;
      for (std::size_t step = 0; step < steps; ++step)
        worst = std::max(worst, relative_difference(all.losses[step], one.losses[step]));
      CHECK(worst < tolerance<T>(1e-3, 1e-9));
    }
}

template <class T, class Form>
void check_repeats(MakeStrategy<T> const& make) {
  comm::Communicator const world;
  int const tensor = world.size() % 2 == 0 ? 2 : 1;
  comm::MeshShape const shape{tensor, world.size() / tensor, 1};
  auto const first = train_on<T, Form>(world, shape, parallel::Sharding::full, 5, make, StrategySettings().rate);
  auto const again = train_on<T, Form>(world, shape, parallel::Sharding::full, 5, make, StrategySettings().rate);
  CHECK(first.losses == again.losses);
  CHECK(first.values == again.values);
}

template void check_strategy<double, parallel::TensorParallel>(std::string const&, MakeStrategy<double> const&, double);
template void check_strategy<double, parallel::SequenceParallel>(std::string const&, MakeStrategy<double> const&,
                                                                 double);
template void check_strategy<float, parallel::TensorParallel>(std::string const&, MakeStrategy<float> const&, double);
template void check_repeats<float, parallel::TensorParallel>(MakeStrategy<float> const&);

} // namespace dchag::test
