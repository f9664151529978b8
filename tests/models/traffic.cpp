// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause

// A whole training step sends what docs/strategies.md says, under every strategy and form of the encoder.
#include <dchag/channels/distributed_tokenization.hpp>
#include <dchag/channels/flat_aggregator.hpp>
#include <dchag/channels/tensor_parallel_aggregator.hpp>
#include <dchag/plan/memory.hpp>

#include <support/strategies.hpp>
#include <support/traffic.hpp>

namespace models_traffic {

using namespace dchag;
using namespace dchag::test;
using parallel::SequenceParallel;
using parallel::Sharding;
using parallel::TensorParallel;
using Space = Kokkos::DefaultExecutionSpace;

namespace {

/// The sizes of `StrategyTraining`, and its aggregator's.
plan::Config sizes_of(comm::MeshShape const& shape, StrategySettings const& settings, plan::Aggregation const& how,
                      plan::EncoderForm form) {
  auto const channels = strategy_config();
  auto const model = strategy_model(settings.recompute);
  auto const P = static_cast<std::size_t>(shape.tensor), S = static_cast<std::size_t>(shape.shard),
             data = static_cast<std::size_t>(shape.data);
  return plan::checked({.samples = settings.batch / (S * data),
                        .height = model.height,
                        .width = model.width,
                        .patch = channels.patch,
                        .channels = channels.channels,
                        .features = channels.width,
                        .heads = channels.heads,
                        .depth = model.depth,
                        .mlp_ratio = model.mlp_ratio,
                        .decoder_features = model.decoder_features,
                        .decoder_depth = model.decoder_depth,
                        .decoder_heads = model.decoder_heads,
                        .mask_ratio = settings.mask_ratio,
                        .recompute = settings.recompute,
                        .aggregation = how,
                        .encoder = form,
                        .mesh = {P, S, data},
                        .sharding = settings.sharding});
}

/// The first table of docs/strategies.md, "What a step sends".
Traffic channel_traffic(plan::Config const& c) {
  std::size_t const N = c.samples * c.visible(), D = c.features, h = c.heads, C = c.channels;
  std::size_t const P = c.mesh.tensor, G = c.aggregation.groups;
  Traffic sent;
  auto const add = [&](char const* function, std::size_t numbers) {
    sent.add<float>(static_cast<int>(P), function, 1, numbers);
  };
  switch (c.aggregation.strategy) {
  case plan::Strategy::flat:
    break;
  case plan::Strategy::tensor_parallel:
    add("MPI_Allreduce", N * D);
    break;
  case plan::Strategy::distributed_tokenization:
    add("MPI_Allgather", (C + P - 1) / P * N * D);
    break;
  case plan::Strategy::groups:
    add("MPI_Allgather", G / P * N * D);
    if (c.aggregation.final_module == plan::Final::head_shared) {
      add("MPI_Allreduce", N * D);
      add("MPI_Reduce_scatter_block", G * N * D);
    }
    break;
  case plan::Strategy::exact_flat:
    add("MPI_Allreduce", N * h);
    add("MPI_Allreduce", N * (D + h));
    add("MPI_Allreduce", c.aggregation.form == plan::Form::fused ? D * D + h * D : 2 * D * D + D);
  }
  return sent;
}

/// The second table.
Traffic encoder_traffic(plan::Config const& c, comm::Communicator const& tensor) {
  std::size_t const N = c.samples * c.visible(), D = c.features;
  std::size_t const b = c.depth, f = c.recompute ? 2 * b - 1 : b; // backward and forward passes through blocks
  Traffic sent;
  auto const add = [&](char const* function, std::size_t calls, std::size_t rows) {
    sent.add<float>(tensor.size(), function, calls, calls * rows * D);
  };
  if (c.encoder == plan::EncoderForm::tensor_parallel) add("MPI_Allreduce", 2 * f + 2 * b, N);
  if (c.encoder == plan::EncoderForm::sequence_parallel) {
    bool const even = N % c.mesh.tensor == 0;
    add(even ? "MPI_Allgather" : "MPI_Allgatherv", 2 * f + 4 * b + 2, comm::own_part(tensor, N).size());
    add(even ? "MPI_Reduce_scatter_block" : "MPI_Reduce_scatter", 2 * f + 2 * b, N);
  }
  return sent;
}

/// Of the aggregator, of the blocks of encoder and decoder, of the head and of what is in no unit.
std::vector<UnitSize> units_of(plan::Config const& c) {
  using plan::detail::Array;
  std::vector<UnitSize> units;
  for (auto const& arrays : plan::detail::units_of(plan::detail::parts_of(c))) {
    auto& unit = units.emplace_back(UnitSize{
        plan::detail::FlatUnit(arrays, c.sharding == Sharding::none ? 1 : c.mesh.shard, {sizeof(float)}).size});
    if (c.mesh.tensor == 1) continue;
    plan::detail::Arrays alike;
    std::ranges::copy_if(arrays, std::back_inserter(alike), [](auto a) { return a.kind != Array::Kind::distributed; });
    if (alike.size() < arrays.size()) unit.alike = plan::detail::FlatUnit(alike, 1, {sizeof(float)}).size;
  }
  return units;
}

template <class Form>
constexpr plan::EncoderForm form_of = std::same_as<Form, Replicated>       ? plan::EncoderForm::replicated
                                      : std::same_as<Form, TensorParallel> ? plan::EncoderForm::tensor_parallel
                                                                           : plan::EncoderForm::sequence_parallel;

/// One step on a mesh, not the first.
template <class Form>
void check_step(comm::MeshShape const& shape, StrategySettings const& settings, MakeStrategy<float> const& make,
                plan::Aggregation const& how) {
  CAPTURE(static_cast<int>(form_of<Form>));
  CAPTURE(shape.tensor);
  CAPTURE(shape.shard);
  CAPTURE(shape.data);
  CAPTURE(static_cast<int>(settings.sharding));
  CAPTURE(settings.recompute);
  CAPTURE(settings.batch);
  auto const sizes = sizes_of(shape, settings, how, form_of<Form>);
  comm::Communicator const world;
  StrategyTraining<float, Form> strategy(world, shape, settings, make);
  strategy.update(strategy.gradients(0));
  support::CommCount const count;
  strategy.update(strategy.gradients(1));
  constexpr bool staged = comm::detail::needs_staging<Tensor<Space, float, 1>>;
  constexpr bool at_once = comm::detail::reduces_at_once<Tensor<Space, float, 1>>;
  auto const& mesh = strategy.mesh;
  CHECK(Traffic(count) == channel_traffic(sizes) + encoder_traffic(sizes, mesh.tensor()) +
                              sharding_traffic<float, staged, at_once>(mesh, settings.sharding, units_of(sizes)) +
                              clipping_traffic(mesh) + mean_traffic(mesh));
}

/// On every mesh with every policy, and with 21 rows, of which 2 and 4 ranks have unequal parts.
template <class Form>
void check_form(MakeStrategy<float> const& make, plan::Aggregation const& how) {
  int const ranks = comm::Communicator().size();
  for (int tensor = 1; tensor <= ranks; ++tensor)
    for (auto const& shape : mesh_shapes(ranks, tensor))
      for (auto const sharding : all_shardings)
        if (sharding == effective(sharding, shape))
          check_step<Form>(shape, {.sharding = sharding, .recompute = shape.shard > 1}, make, how);
  check_step<Form>({ranks, 1, 1}, {.recompute = true, .batch = 3, .mask_ratio = 0.4}, make, how);
}

void check_strategy_traffic(MakeStrategy<float> const& make, plan::Aggregation const& how) {
  check_form<Replicated>(make, how);
  check_form<TensorParallel>(make, how);
  check_form<SequenceParallel>(make, how);
}

template <class Tree, class Final = CrossAttention, class Form = Fused>
using Groups = DistributedAggregator<Space, float, Tree, Final, Form>;

plan::Aggregation groups_of(plan::Layer layer, std::size_t level, plan::Final final_module) {
  return {.strategy = plan::Strategy::groups,
          .layer = layer,
          .level = level,
          .groups = grouped_config().groups,
          .final_module = final_module};
}

} // namespace

TEST_CASE("a step of tensor parallelism alone sends what the documentation says") {
  check_strategy_traffic(strategy_of<TensorParallelAggregator<Space, float, Materialized>>(strategy_config()),
                         {.strategy = plan::Strategy::tensor_parallel, .form = plan::Form::materialized});
  check_form<Replicated>(strategy_of<TensorParallelAggregator<Space, float>>(strategy_config()),
                         {.strategy = plan::Strategy::tensor_parallel});
}

TEST_CASE("a step of distributed tokenization sends what the documentation says") {
  check_strategy_traffic(
      strategy_of<DistributedTokenization<Space, float, Tree<CrossAttention>, Materialized>>(strategy_config()),
      {.strategy = plan::Strategy::distributed_tokenization, .form = plan::Form::materialized});
  check_form<Replicated>(strategy_of<DistributedTokenization<Space, float>>(strategy_config()),
                         {.strategy = plan::Strategy::distributed_tokenization});
}

TEST_CASE("a step of D-CHAG -C sends what the documentation says") {
  check_strategy_traffic(strategy_of<Groups<Tree<CrossAttention>>>(grouped_config()),
                         groups_of(plan::Layer::cross_attention, 0, plan::Final::cross_attention));
  auto materialized = groups_of(plan::Layer::cross_attention, 0, plan::Final::head_shared);
  materialized.form = plan::Form::materialized;
  check_form<Replicated>(strategy_of<Groups<Tree<CrossAttention>, HeadShared, Materialized>>(grouped_config()),
                         materialized);
}

TEST_CASE("a step of D-CHAG -L sends what the documentation says") {
  check_strategy_traffic(strategy_of<Groups<Tree<Linear, 2>>>(grouped_config()),
                         groups_of(plan::Layer::linear, 2, plan::Final::cross_attention));
}

TEST_CASE("a step of D-CHAG with the final heads shared sends what the documentation says") {
  check_strategy_traffic(strategy_of<Groups<Tree<Linear>, HeadShared>>(grouped_config()),
                         groups_of(plan::Layer::linear, 0, plan::Final::head_shared));
}

TEST_CASE("a step of the exact flat cross-attention sends what the documentation says") {
  check_strategy_traffic(strategy_of<FlatAggregator<Space, float>>(strategy_config()),
                         {.strategy = plan::Strategy::exact_flat});
  check_form<Replicated>(strategy_of<FlatAggregator<Space, float, Materialized>>(strategy_config()),
                         {.strategy = plan::Strategy::exact_flat, .form = plan::Form::materialized});
}

} // namespace models_traffic
