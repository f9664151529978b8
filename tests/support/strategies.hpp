// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/channels/distributed_aggregator.hpp>
#include <dchag/models/masked_autoencoder.hpp>
#include <dchag/parallel/data_parallel.hpp>
#include <dchag/train/adamw.hpp>
#include <dchag/train/clipping.hpp>

#include <support/distributed.hpp>
#include <support/encoder_form.hpp>
#include <support/replicas.hpp>

/// \file
/// A small masked autoencoder that can be trained on every mesh of up to 8 ranks by every strategy.
namespace dchag::test {

inline constexpr std::size_t strategy_batch = 8, strategy_channels = 17, strategy_positions = 12;

inline AggregatorConfig strategy_config() {
  return {.channels = strategy_channels, .patch = 2, .width = 16, .heads = 8, .seed = 5};
}
inline DistributedAggregatorConfig grouped_config() {
  return {.channels = strategy_channels, .groups = 8, .patch = 2, .width = 16, .heads = 8, .seed = 5};
}

inline MaskedAutoencoderConfig strategy_model(bool recompute) {
  return {.height = 6,
          .width = 8,
          .depth = 2,
          .heads = 8,
          .decoder_features = 8,
          .decoder_depth = 1,
          .decoder_heads = 2,
          .mlp_ratio = 2,
          .dropout = 0.1,
          .recompute = recompute};
}

struct StrategySettings {
  parallel::Sharding sharding = parallel::Sharding::none;
  bool recompute = false;
  std::size_t batch = strategy_batch;
  double mask_ratio = 0.5;
};

/// The model in training on a mesh.
template <class AggregatorType, class Form>
struct StrategyTraining {
  using Aggregator = AggregatorType;
  using Space = typename Aggregator::execution_space;
  using T = typename Aggregator::value_type;
  using Model = MaskedAutoencoder<Aggregator, Form>;

  /// `make` makes the aggregator from an instance and the communicator of tensor parallelism.
  template <class Make>
  StrategyTraining(comm::Communicator const& world, comm::MeshShape shape, StrategySettings const& how,
                   Make const& make)
      : settings(how), mesh(world, shape),
        model(exec, make(exec, mesh.tensor()), strategy_model(how.recompute), form_on<Form>(mesh.tensor())),
        training(exec, mesh, model, how.sharding),
        // The gradient of the keys' bias is nothing but rounding; with a small epsilon it would move like any other.
        optimizer(exec, training, {.epsilon = 1e-5}),
        image(random_tensor<T>(exec, 1, "image", {how.batch, strategy_channels, std::size_t{6}, std::size_t{8}})) {}

  /// Forward and backward on this replica's samples; this rank's gradients are there.
  double gradients(std::size_t step) {
    auto const samples = samples_of(mesh, settings.batch, 0, 1);
    auto const own = model.aggregator().own_channels();
    auto const target =
        Kokkos::subview(image, std::pair(samples.begin, samples.end), Kokkos::ALL, Kokkos::ALL, Kokkos::ALL);
    Image const input{Kokkos::subview(target, Kokkos::ALL, std::pair(own.begin, own.end), Kokkos::ALL, Kokkos::ALL)};
    mask.draw(exec, samples.size(), strategy_positions, settings.mask_ratio, Model::Mask::Loss::hidden, 1, step,
              samples.begin);
    context.dropout = {.training = true, .step = static_cast<std::uint32_t>(step), .first_sample = samples.begin};
    training.begin_step();
    model.forward(workspace, context, input, mask);
    double const loss = model.backward(workspace, context, input, target, mask);
    training.finish_backward();
    return loss;
  }

  /// Ends the step; the loss of all samples.
  double update(double loss) {
    clip_gradients(exec, training, 0.5, training.gradient_sum());
    optimizer.step(exec, training, 1e-3);
    training.values_changed();
    return training.mean(loss);
  }

  StrategySettings settings;
  Space exec;
  Workspace<Space> workspace{exec};
  comm::Mesh mesh;
  Model model;
  parallel::DataParallel<Model> training;
  AdamW<Space, T> optimizer;
  typename Model::Context context;
  typename Model::Mask mask;
  Tensor<Space, T, 4> image; // (batch, C, H, W)
};

/// What a training shows, step by step.
struct TrainingRun {
  Numbers first_gradients; // of this rank's parts
  std::vector<double> losses;
  Numbers values; // at the end
};

/// So many steps on a mesh; the gradients of the first are compared with those of `one`, if given, which holds all of
/// them. `make` as for `StrategyTraining`.
template <class Form, class Make>
TrainingRun train_on(comm::Communicator const& world, comm::MeshShape shape, parallel::Sharding sharding,
                     std::size_t steps, Make const& make, TrainingRun const* one = nullptr) {
  using Aggregator = std::invoke_result_t<Make, Kokkos::DefaultExecutionSpace, comm::Communicator const&>;
  using T = typename Aggregator::value_type;
  StrategyTraining<Aggregator, Form> strategy(world, shape, {.sharding = sharding, .recompute = shape.shard > 1}, make);
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
  return run;
}

/// Every mesh of the ranks there are trains the model as one rank does.
template <class T, class Form, class Make>
void check_strategy(char const* name, Make const& make) {
  constexpr std::size_t steps = 50;
  CAPTURE(name);
  comm::Communicator const world;
  auto const self = comm::Communicator::self();
  auto const one = train_on<Form>(self, {1, 1, 1}, parallel::Sharding::none, steps, make);
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
      auto const all = train_on<Form>(world, shape, sharding, steps, make, &one);
      double worst = 0;
      for (std::size_t step = 0; step < steps; ++step)
        worst = std::max(worst, std::abs(all.losses[step] - one.losses[step]) / one.losses[step]);
      CHECK(worst < tolerance<T>(1e-3, 1e-9));
    }
}

/// Runs of the same mesh repeat bit for bit, dropout and all.
template <class Form, class Make>
void check_repeats(Make const& make) {
  comm::Communicator const world;
  int const tensor = world.size() % 2 == 0 ? 2 : 1;
  comm::MeshShape const shape{tensor, world.size() / tensor, 1};
  auto const first = train_on<Form>(world, shape, parallel::Sharding::full, 5, make);
  auto const again = train_on<Form>(world, shape, parallel::Sharding::full, 5, make);
  CHECK(first.losses == again.losses);
  CHECK(first.values == again.values);
}

} // namespace dchag::test
