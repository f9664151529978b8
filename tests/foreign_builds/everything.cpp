// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause

/// \file
/// Never run: uses each part of the library once, since compilers warn of a template only where it is instantiated.
/// What is not ours comes first, then macros that meet ours.

// clang-format off
#include <Eigen/Core>
#include <Kokkos_Core.hpp>
#include <mpi.h>
#include <nlohmann/json.hpp>

#if __has_include(<bits/stdc++.h>)
#include <bits/stdc++.h> // the whole standard library
#endif

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "macros.hpp"

#include <dchag/dchag.hpp>
// clang-format on

namespace {

using namespace dchag;
using Space = Kokkos::DefaultExecutionSpace;

template <class Aggregator>
void aggregate(Aggregator& aggregator, Workspace<Space>& workspace) {
  using T = typename Aggregator::value_type;
  typename Aggregator::Context context;
  Kokkos::View<T****, Space> const image("image", 2, 8, 4, 4);
  Tensor<Space, T, 3> const tokens("tokens", 2, 4, 8);
  aggregator.check(workspace.exec(), context, image);
  aggregator.forward(workspace, context, image, tokens);
  aggregator.backward(workspace, context, image, tokens, image);
  aggregator.backward(workspace, context, image, tokens, no_gradient);
}

AggregatorConfig const whole{.channels = 8, .patch = 2, .width = 8, .heads = 2};
DistributedAggregatorConfig const grouped{.channels = 8, .groups = 2, .patch = 2, .width = 8, .heads = 2};

template <class T>
void aggregate_alone(Workspace<Space>& workspace) {
  ChannelAggregator<Space, T> alone(workspace.exec(), whole);
  aggregate(alone, workspace);
  typename ChannelAggregator<Space, T>::Context frozen;
  alone.freeze(workspace, frozen, Kokkos::View<T****, Space>("image", 2, 8, 4, 4));
}

void aggregate_together(comm::Communicator const& world, Workspace<Space>& workspace) {
  Space const exec;
  DistributedAggregator<Space, float, Tree<Linear, 2>, HeadShared, Materialized> tree(exec, world, grouped);
  aggregate(tree, workspace);
  DistributedTokenization<Space, float> tokens(exec, world, whole);
  aggregate(tokens, workspace);
  TensorParallelAggregator<Space, float> heads(exec, world, whole);
  aggregate(heads, workspace);
}

template <class T, class Form>
void train(comm::Mesh const& mesh, Workspace<Space>& workspace, std::filesystem::path const& folder) {
  auto const& exec = workspace.exec();
  AnyAggregator<Space, T> aggregator(FlatAggregator<Space, T>(exec, mesh.tensor(), whole));
  using Autoencoder = MaskedAutoencoder<AnyAggregator<Space, T>, Form>;
  auto model = deferred([&] {
    return Autoencoder(exec, std::move(aggregator), {.height = 4, .width = 4, .depth = 1, .heads = 2, .dropout = 0.1},
                       Form(mesh.tensor()));
  });
  parallel::DataParallel training(exec, mesh, model, parallel::Sharding::full);
  AdamW<Space, T> optimizer(exec, training);
  typename Autoencoder::Context context;
  typename Autoencoder::Mask mask;
  Kokkos::View<T****, Space> const image("image", 2, 8, 4, 4);
  WarmupCosine const rate{.peak = 1e-3, .warmup_steps = 1, .total_steps = 3};
  CheckpointFolder const checkpoints(mesh.replicas(), folder);
  for (std::size_t step = 0; step < 3; ++step) {
    mask.draw(exec, 2, 4, 0.5, Autoencoder::Mask::Loss::hidden, 1, step);
    model.check(mesh.tensor(), exec, context, image, image, mask);
    training.begin_step();
    model.forward(workspace, context, image, mask);
    double const loss = training.mean(model.backward(workspace, context, image, image, mask));
    training.finish_backward();
    clip_gradients(exec, training, 1.0, training.gradient_sum());
    optimizer.step(exec, training, rate.rate(step));
    checkpoints.save(static_cast<std::int64_t>(step), {training, optimizer, {{"loss", loss}}});
  }
  load_checkpoint(mesh.replicas(), folder, {training, optimizer}).template get<double>("loss");
  parameter_norms(exec, training);
}

/// A layer that is trained without a mesh.
template <class T>
void train_head(Workspace<Space>& workspace) {
  auto const& exec = workspace.exec();
  PredictionHead<Space, T> head(exec, "head", {.inputs = 8, .outputs = 32}, 1);
  typename PredictionHead<Space, T>::Context context;
  Tensor<Space, T, 2> const x("x", 4, 8), y("y", 4, 32);
  head.forward(workspace, context, x, y);
  head.backward(workspace, context, x, y, x);
  clip_gradients(exec, head, 1.0);
  AdamW<Space, T> optimizer;
  optimizer.step(exec, head, 1e-3);
}

[[maybe_unused]] int everything(int argc, char** argv) {
  comm::Session const session(argc, argv);
  comm::Communicator const world;
  return comm::run_main(world, [&] {
    comm::Mesh const mesh(world, {1, world.size(), 1});
    Workspace<Space> workspace;
    // Both kinds of numbers where they cost little to compile.
    aggregate_alone<float>(workspace);
    aggregate_alone<double>(workspace);
    aggregate_together(world, workspace);
    train<float, parallel::TensorParallel>(mesh, workspace, "checkpoints");
    train<float, parallel::SequenceParallel>(mesh, workspace, "checkpoints");
    train_head<float>(workspace);
    train_head<double>(workspace);
    return static_cast<int>(plan::memory({}).total());
  });
}

} // namespace
