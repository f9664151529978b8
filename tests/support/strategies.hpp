// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/channels/any_aggregator.hpp>
#include <dchag/channels/distributed_aggregator.hpp>
#include <dchag/models/masked_autoencoder.hpp>
#include <dchag/parallel/data_parallel.hpp>
#include <dchag/train/adamw.hpp>
#include <dchag/train/clipping.hpp>

#include <support/distributed.hpp>
#include <support/encoder_form.hpp>
#include <support/replicas.hpp>

/// \file
/// A small masked autoencoder that can be trained on every mesh of up to 8 ranks by every strategy. It is compiled once
/// for all of them, in strategies.cpp.
namespace dchag::test {

inline constexpr std::size_t strategy_batch = 8, strategy_channels = 17, strategy_positions = 12;

inline AggregatorConfig strategy_config() {
  return {.channels = strategy_channels, .patch = 2, .width = 16, .heads = 8, .seed = 5};
}
inline DistributedAggregatorConfig grouped_config(std::size_t channels = strategy_channels) {
  return {.channels = channels, .groups = 8, .patch = 2, .width = 16, .heads = 8, .seed = 5};
}

/// Makes an aggregator from an instance and the communicator of tensor parallelism.
template <class T>
using MakeStrategy = std::function<AnyAggregator<Kokkos::DefaultExecutionSpace, T>(Kokkos::DefaultExecutionSpace,
                                                                                   comm::Communicator const&)>;

template <class Aggregator, class Config>
MakeStrategy<typename Aggregator::value_type> strategy_of(Config const& config) {
  return [config](Kokkos::DefaultExecutionSpace const& exec, comm::Communicator const& tensor) {
    return AnyAggregator<Kokkos::DefaultExecutionSpace, typename Aggregator::value_type>(
        Aggregator(exec, tensor, config));
  };
}

/// D-CHAG with Tree0 of these layers, or with so many tokens between two levels: the more there are, the more channels,
/// 8 groups of 2 to 10.
template <class Layer, std::size_t tokens, class Form, class Final = CrossAttention>
MakeStrategy<double> grouped() {
  using Policy = std::conditional_t<tokens == 0, Tree<Layer>, Tree<Layer, tokens>>;
  return strategy_of<DistributedAggregator<Kokkos::DefaultExecutionSpace, double, Policy, Final, Form>>(
      grouped_config(strategy_channels + 8 * tokens));
}
inline constexpr double fast = 4e-3; // the rate at which 80 channels are learned in so few steps

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
  double rate = 1e-3; // of learning
};

/// The model in training on a mesh.
template <class T, class Form>
struct StrategyTraining {
  using Space = Kokkos::DefaultExecutionSpace;
  using Model = MaskedAutoencoder<AnyAggregator<Space, T>, Form>;

  StrategyTraining(comm::Communicator const& world, comm::MeshShape shape, StrategySettings const& how,
                   MakeStrategy<T> const& make)
      : settings(how), mesh(world, shape),
        model(exec, make(exec, mesh.tensor()), strategy_model(how.recompute), form_on<Form>(mesh.tensor())),
        training(exec, mesh, model, how.sharding),
        // The gradient of the keys' bias is nothing but rounding; with a small epsilon it would move like any other.
        optimizer(exec, training, {.epsilon = 1e-5}),
        image(random_tensor<T>(exec, 1, "image",
                               {how.batch, model.aggregator().config().channels, std::size_t{6}, std::size_t{8}})) {}

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
    optimizer.step(exec, training, settings.rate);
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

/// Every mesh of the ranks there are trains the model as one rank does, 50 steps. For double with both shared forms of
/// the encoder, and for float with `parallel::TensorParallel`.
template <class T, class Form>
void check_strategy(std::string const& name, MakeStrategy<T> const& make, double rate = StrategySettings().rate);

/// Runs of the same mesh repeat bit for bit, dropout and all. For float with `parallel::TensorParallel`.
template <class T, class Form>
void check_repeats(MakeStrategy<T> const& make);

} // namespace dchag::test
