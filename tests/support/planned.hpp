// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/channels/channel_aggregator.hpp>
#include <dchag/channels/distributed_aggregator.hpp>
#include <dchag/models/masked_autoencoder.hpp>
#include <dchag/parallel/data_parallel.hpp>
#include <dchag/plan/memory.hpp>
#include <dchag/train/adamw.hpp>

#include <support/distributed.hpp>
#include <support/encoder_form.hpp>
#include <support/memory.hpp>
#include <support/replicas.hpp>

/// \file
/// What a training holds, counted, against what was planned.
namespace dchag::test {

/// The plan is of a host.
using PlannedSpace = Kokkos::DefaultHostExecutionSpace;

/// Large enough for vectors of a few numbers not to matter; 5 channels a group of D-CHAG are uneven in a tree.
inline plan::Config planned_config() {
  return {.samples = 2,
          .height = 16,
          .width = 32,
          .patch = 4,
          .channels = 20,
          .features = 96,
          .heads = 4,
          .depth = 3,
          .decoder_features = 48,
          .decoder_depth = 2,
          .decoder_heads = 4,
          .mask_ratio = 0.5,
          .threads = static_cast<std::size_t>(concurrency(PlannedSpace()))};
}

inline AggregatorConfig aggregator_config(plan::Config const& c) {
  return {.channels = c.channels,
          .patch = c.patch,
          .width = c.features,
          .heads = c.heads,
          .projection_bias = c.aggregation.projection_bias,
          .seed = 5,
          .pooling = c.aggregation.pooling};
}
inline DistributedAggregatorConfig groups_config(plan::Config const& c) {
  return {.channels = c.channels,
          .groups = c.aggregation.groups,
          .patch = c.patch,
          .width = c.features,
          .heads = c.heads,
          .projection_bias = c.aggregation.projection_bias,
          .seed = 5,
          .pooling = c.aggregation.pooling};
}

/// For `run_planned`: an aggregator from its configuration, on one rank and on several.
template <class Aggregator>
Aggregator make_planned(PlannedSpace const& exec, comm::Communicator const& tensor, plan::Config const& c) {
  if constexpr (std::is_constructible_v<Aggregator, PlannedSpace const&, AggregatorConfig const&>)
    return Aggregator(exec, aggregator_config(c));
  else if constexpr (std::is_constructible_v<Aggregator, PlannedSpace const&, comm::Communicator const&,
                                             DistributedAggregatorConfig const&>)
    return Aggregator(exec, tensor, groups_config(c));
  else
    return Aggregator(exec, tensor, aggregator_config(c));
}

struct Planned {
  MemoryByName counted;
  std::size_t peak; // of the workspace, taken
};

/// What three steps leave held. Collective.
template <class Aggregator, class Form>
Planned run_planned(comm::Communicator const& world, plan::Config const& c) {
  using Space = PlannedSpace;
  using T = typename Aggregator::value_type;
  using Model = MaskedAutoencoder<Aggregator, Form>;
  Space const exec;
  comm::Mesh const mesh(
      world, {static_cast<int>(c.mesh.tensor), static_cast<int>(c.mesh.shard), static_cast<int>(c.mesh.data)});
  auto const target = random_tensor<T>(exec, 1, "image", {c.samples, c.channels, c.height, c.width});
  AllocationCounter const counter;
  Workspace<Space> workspace(exec);
  Model model(exec, make_planned<Aggregator>(exec, mesh.tensor(), c),
              {.height = c.height,
               .width = c.width,
               .depth = c.depth,
               .heads = c.heads,
               .decoder_features = c.decoder_features,
               .decoder_depth = c.decoder_depth,
               .decoder_heads = c.decoder_heads,
               .mlp_ratio = c.mlp_ratio,
               .dropout = c.dropout ? 0.1 : 0.0,
               .recompute = c.recompute},
              form_on<Form>(mesh.tensor()));
  parallel::DataParallel training(exec, mesh, model, c.sharding);
  AdamW<Space, T> optimizer(exec, training);
  typename Model::Context context;
  typename Model::Mask mask;
  auto const own = model.aggregator().own_channels();
  Image const input{Kokkos::subview(target, Kokkos::ALL, std::pair(own.begin, own.end), Kokkos::ALL, Kokkos::ALL)};
  for (std::uint32_t step = 0; step < 3; ++step) {
    mask.draw(exec, c.samples, c.positions(), c.mask_ratio, Model::Mask::Loss::hidden, 1, step);
    context.dropout = {.training = true, .step = step};
    training.begin_step();
    model.forward(workspace, context, input, mask);
    model.backward(workspace, context, input, target, mask);
    training.finish_backward();
    optimizer.step(exec, training, 1e-3);
    training.values_changed();
  }
  return {MemoryByName(counter), workspace.peak_bytes()};
}

inline void check_category(char const* name, std::size_t planned, std::size_t counted, std::size_t total) {
  CAPTURE(name);
  CAPTURE(planned);
  CAPTURE(counted);
  if (100 * counted > total || 100 * planned > total)
    CHECK(static_cast<double>(planned) == doctest::Approx(static_cast<double>(counted)).epsilon(0.002));
}

/// The plan is that of the first rank, which holds most; `config` says the strategy, which `Aggregator` must be.
template <class Aggregator, class Form>
void check_plan(comm::Communicator const& world, plan::Config c) {
  c.number_bytes = sizeof(typename Aggregator::value_type);
  c.encoder = std::same_as<Form, Replicated>                 ? plan::EncoderForm::replicated
              : std::same_as<Form, parallel::TensorParallel> ? plan::EncoderForm::tensor_parallel
                                                             : plan::EncoderForm::sequence_parallel;
  CAPTURE(static_cast<int>(c.aggregation.strategy));
  CAPTURE(static_cast<int>(c.encoder));
  CAPTURE(static_cast<int>(c.sharding));
  CAPTURE(c.mesh.tensor);
  CAPTURE(c.mesh.shard);
  CAPTURE(c.aggregation.level);
  CAPTURE(c.recompute);
  CAPTURE(c.depth);
  auto const [counted, peak] = run_planned<Aggregator, Form>(world, c);
  if (world.rank() > 0) return;
  auto const planned = plan::memory(c);
  std::size_t const total = counted.total() - counted.other; // Kokkos' own scratch
  check_category("parameters", planned.parameters, counted.parameters, total);
  check_category("gradients", planned.gradients, counted.gradients, total);
  check_category("optimizer", planned.optimizer, counted.optimizer, total);
  check_category("activations", planned.activations, counted.activations, total);
  check_category("workspace", planned.workspace, counted.workspace, total);
  check_category("buffers", planned.buffers, counted.buffers, total);
  check_category("total", planned.total(), total, total);
  CHECK(planned.workspace == peak + scratch_alignment);
}

/// On every mesh of all ranks, with sizes of which one after the other makes the largest scratch: the aggregation, the
/// encoder.
template <class Aggregator, class Form>
void check_plans(plan::Config c) {
  comm::Communicator const world;
  for (int tensor = 1; tensor <= world.size(); ++tensor)
    for (auto const& shape : mesh_shapes(world.size(), tensor)) {
      if (shape.ranks() != world.size()) continue;
      c.mesh = {static_cast<std::size_t>(shape.tensor), static_cast<std::size_t>(shape.shard),
                static_cast<std::size_t>(shape.data)};
      c.sharding = shape.shard == 1 ? parallel::Sharding::none
                   : shape.data > 1 ? parallel::Sharding::optimizer
                                    : parallel::Sharding::full;
      c.recompute = shape.shard > 1;
      check_plan<Aggregator, Form>(world, c);
      auto small = c;
      small.depth = 0;
      small.decoder_depth = small.mlp_ratio = 1;
      small.decoder_features = 8;
      small.height = small.width = 8;
      check_plan<Aggregator, Form>(world, small);
      auto deep = c;
      deep.channels = 8;
      deep.height = 32;
      deep.mask_ratio = 0.25;
      check_plan<Aggregator, Form>(world, deep);
    }
}

} // namespace dchag::test
