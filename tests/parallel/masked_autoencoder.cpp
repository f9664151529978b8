// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/channels/distributed_aggregator.hpp>
#include <dchag/models/masked_autoencoder.hpp>
#include <dchag/parallel/data_parallel.hpp>

#include <support/memory.hpp>
#include <support/other_processor.hpp>
#include <support/replicas.hpp>
#include <support/sentence.hpp>

namespace parallel_masked_autoencoder {

using namespace dchag;
using namespace dchag::test;
using parallel::Sharding;

namespace {

constexpr std::size_t batch = 4, channels = 5, height = 6, width = 8, positions = 12;

struct Sizes {
  std::size_t features = 8;
  std::size_t depth = 3;
  std::size_t decoder_features = 6;
  bool recompute = false;
};

template <class Model>
class Trial {
public:
  using Space = typename Model::execution_space;
  using T = typename Model::value_type;
  using Mask = typename Model::Mask;

  template <class Aggregator>
  Trial(Aggregator aggregator, Sizes const& sizes)
      : model(exec, std::move(aggregator),
              {.height = height,
               .width = width,
               .depth = sizes.depth,
               .heads = 2,
               .decoder_features = sizes.decoder_features,
               .decoder_depth = 1,
               .decoder_heads = 2,
               .mlp_ratio = 2,
               .recompute = sizes.recompute}) {}

  /// Forward and backward on these samples of the batch of step `draw`.
  double backward(Range samples, std::uint64_t draw) {
    draw_mask(samples, draw);
    auto const target = target_of(samples);
    model.forward(workspace, context, input_of(target), mask);
    return model.backward(workspace, context, input_of(target), target, mask);
  }

  /// Checks a batch whose mask fits to its images only if they are as many.
  void check(comm::Communicator const& group, Range samples, Range masked) {
    draw_mask(masked, 0);
    auto const target = target_of(samples);
    model.check(group, exec, context, input_of(target), target, mask);
  }

  void draw_mask(Range samples, std::uint64_t draw) {
    Mask all;
    all.draw(exec, batch, positions, 0.5, Mask::Loss::hidden, 1, draw);
    std::vector<std::vector<std::size_t>> visible;
    for (std::size_t b = samples.begin; b < samples.end; ++b) {
      auto const list = all.host_visible(b);
      visible.emplace_back(list.begin(), list.end());
    }
    mask.set(exec, positions, visible, Mask::Loss::hidden);
  }
  auto target_of(Range samples) const {
    return Kokkos::subview(image, std::pair(samples.begin, samples.end), Kokkos::ALL, Kokkos::ALL, Kokkos::ALL);
  }
  auto input_of(auto const& target) const {
    auto const own = model.aggregator().own_channels();
    return Image{Kokkos::subview(target, Kokkos::ALL, std::pair(own.begin, own.end), Kokkos::ALL, Kokkos::ALL)};
  }

  Space exec;
  Workspace<Space> workspace{exec};
  Model model;
  typename Model::Context context;
  Mask mask;
  Tensor<Space, T, 4> image = random_tensor<T>(exec, 1, "image", {batch, channels, height, width});
};

DistributedAggregatorConfig config_of(Sizes const& sizes) {
  return {.channels = channels, .groups = 4, .patch = 2, .width = sizes.features, .heads = 2, .seed = 5};
}

/// The model on one rank, or on the ranks of mesh.tensor().
template <class Space, class T>
auto trial_on(comm::Communicator const& tensor, Sizes const& sizes) {
  using Aggregator = DistributedAggregator<Space, T, Tree<CrossAttention>>;
  return Trial<MaskedAutoencoder<Aggregator>>(Aggregator(Space(), tensor, config_of(sizes)), sizes);
}

template <class TrialType>
double step(TrialType& trial, parallel::DataParallel<decltype(trial.model)>& training, auto& optimizer, std::size_t K,
            std::uint64_t draw) {
  double loss = 0;
  training.begin_step(K);
  for (std::size_t k = 0; k < K; ++k)
    loss += trial.backward(samples_of(training.mesh(), batch, k, K), draw) / static_cast<double>(K);
  training.finish_backward();
  clip_gradients(trial.exec, training, 0.5, training.gradient_sum());
  optimizer.step(trial.exec, training, 1e-3);
  training.values_changed();
  return training.mean(loss);
}

/// Whether all ranks that hold the same numbers of values and moments hold them bit for bit.
template <class Training, class Optimizer>
bool holders_agree(Training& training, Optimizer const& optimizer) {
  auto const& mesh = training.mesh();
  bool const whole = training.sharding() == Sharding::none;
  auto const same_shard = mesh.world().split(whole ? 0 : mesh.shard_index(), mesh.world().rank());
  bool agree = true;
  auto const compare = [&](ParameterSpec const& spec, auto const& numbers) {
    auto const& copies = whole ? mesh.replicas() : mesh.data();
    auto const own = flat(numbers);
    auto const& holders = spec.placement == Placement::replicated ? same_shard : copies;
    auto const least = comm::all_reduce(holders, own, comm::Reduce::min);
    agree = agree && least == comm::all_reduce(holders, own, comm::Reduce::max);
  };
  training.for_each_parameter([&](auto& parameter) { compare(parameter.spec(), parameter.values()); });
  optimizer.for_each_state([&](ParameterSpec const& spec, auto const& first, auto const& second) {
    compare(spec, first);
    compare(spec, second);
  });
  return everywhere(mesh.world(), agree);
}

} // namespace

TEST_CASE("what several ranks hold stays equal, bit for bit, where every other rank rounds differently") {
  using Space = Kokkos::DefaultHostExecutionSpace;
  comm::Communicator const world;
  if (world.size() == 1) return;
  OtherProcessor const other(world.rank() % 2 == 1);
  Sizes const sizes{.features = 64, .depth = 2, .decoder_features = 64};
  for (int const tensor : {1, 2})
    for (auto const& shape : mesh_shapes(world.size(), tensor))
      for (auto const sharding : all_shardings) {
        if (sharding != effective(sharding, shape)) continue;
        CAPTURE(tensor);
        CAPTURE(shape.shard);
        CAPTURE(static_cast<int>(sharding));
        comm::Mesh const mesh(world, shape);
        auto trial = trial_on<Space, float>(mesh.tensor(), sizes);
        if (world.rank() % 2 == 1) // initial values are computed too
          trial.model.for_each_parameter([&](auto& parameter) {
            auto const host = to_host(parameter.values());
            for (std::size_t i = 0; i < host.size(); ++i) host(i) = std::nextafter(host(i), 1.f);
            Kokkos::deep_copy(parameter.values(), host);
          });
        parallel::DataParallel training(trial.exec, mesh, trial.model, sharding);
        AdamW<Space, float> optimizer(trial.exec, training);
        CHECK(holders_agree(training, optimizer));
        for (std::uint64_t draw = 0; draw < 5; ++draw) {
          double const loss = step(trial, training, optimizer, 1, draw);
          CHECK(comm::all_reduce(world, loss, comm::Reduce::min) == comm::all_reduce(world, loss, comm::Reduce::max));
          double const norm = gradient_norm(trial.exec, training, training.gradient_sum());
          CHECK(comm::all_reduce(world, norm, comm::Reduce::min) == comm::all_reduce(world, norm, comm::Reduce::max));
        }
        CHECK(holders_agree(training, optimizer));
        if (tensor == 1) continue; // those of a group see the same samples, and still do not compute the same
        auto const prediction = flat(trial.context.prediction);
        bool const same = comm::all_reduce(mesh.tensor(), prediction, comm::Reduce::min) ==
                          comm::all_reduce(mesh.tensor(), prediction, comm::Reduce::max);
        if (products_are_of_eigen) CHECK(everywhere(world, !same));
      }
}

TEST_CASE("replicas with unequal numbers of samples, or none, check their own and agree") {
  using Space = Kokkos::DefaultExecutionSpace;
  comm::Communicator const world;
  for (int tensor = 1; tensor <= std::min(world.size(), 2); ++tensor) {
    if (world.size() % tensor != 0) continue;
    CAPTURE(tensor);
    comm::Mesh const mesh(world, {tensor, 1, world.size() / tensor});
    auto trial = trial_on<Space, double>(mesh.tensor(), {});
    auto const samples_of_replica = [&](int index) { // the last of several has none
      int const count = mesh.replicas().size() == 1 ? 2 : mesh.replicas().size() - 1 - index;
      return std::min<std::size_t>(batch - 1, static_cast<std::size_t>(count));
    };
    std::size_t const samples = samples_of_replica(mesh.replicas().rank());
    auto const sentence_with = [&](std::size_t masked) {
      return sentence_of([&] {
        comm::agree_between_groups(world, [&] {
          if (samples > 0) trial.check(mesh.tensor(), {0, samples}, {0, masked});
        });
      });
    };
    CHECK(everywhere(world, sentence_with(samples).empty()));
    std::size_t const first = samples_of_replica(0);
    auto const refused = sentence_with(mesh.replicas().rank() == 0 ? samples + 1 : samples);
    CHECK(everywhere(world, refused.ends_with(concat("mask of ", first + 1, " samples with 12 positions, expected B = ",
                                                     first, " with L = 12"))));
    parallel::DataParallel training(trial.exec, mesh, trial.model);
    training.begin_step();
    double loss = 0;
    if (samples == 0)
      training.empty_pass();
    else
      training.begin_pass(static_cast<double>(samples)), loss = trial.backward({0, samples}, 0);
    training.finish_backward();
    CHECK(everywhere(world, training.mean(loss, static_cast<double>(samples)) > 0));
  }
}

TEST_CASE_TEMPLATE("every mesh and policy trains a masked autoencoder as one rank does", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  comm::Communicator const world;
  auto const self = comm::Communicator::self();
  for (int tensor = 1; tensor <= std::min(world.size(), 2); ++tensor)
    for (auto const& shape : mesh_shapes(world.size(), tensor))
      for (auto const sharding : all_shardings)
        for (bool const recompute : {false, true}) {
          CAPTURE(tensor);
          CAPTURE(shape.shard);
          CAPTURE(shape.data);
          CAPTURE(static_cast<int>(sharding));
          CAPTURE(recompute);
          comm::Mesh const mesh(world, shape);
          std::size_t const K = recompute && mesh.replicas().size() < 4 ? 2 : 1; // whole samples
          Sizes const sizes{.recompute = recompute};
          auto one = trial_on<Space, T>(self, {});
          auto all = trial_on<Space, T>(mesh.tensor(), sizes);
          parallel::DataParallel training(all.exec, mesh, all.model, sharding);
          // The gradient of the keys' bias is nothing but rounding; with a small epsilon it would move like any other.
          AdamWOptions const options{.epsilon = 1e-5};
          AdamW<Space, T> one_optimizer(options), optimizer(all.exec, training, options);
          WorstArray gradients;
          double worst_loss = 0;
          for (std::uint64_t draw = 0; draw < 20; ++draw) {
            clear_gradients(one.exec, one.model);
            double const expected = one.backward({0, batch}, draw);
            if (draw == 0) {
              training.begin_step();
              all.backward(samples_of(mesh, batch, 0, 1), draw);
              training.finish_backward();
              gradients = worst_error(gradients_of(training), part_of(gradients_of(one.model), training));
            }
            clip_gradients(one.exec, one.model, 0.5);
            one_optimizer.step(one.exec, one.model, 1e-3);
            worst_loss = std::max(worst_loss, relative_difference(step(all, training, optimizer, K, draw), expected));
          }
          auto const values = worst_error(values_of(training), part_of(values_of(one.model), training));
          CHECK(gradients < tolerance<T>(1e-5, 1e-12));
          CHECK(values < tolerance<T>(1e-3, 1e-9));
          CHECK(worst_loss < tolerance<T>(1e-3, 1e-9));
        }
}

TEST_CASE("at rest a sharded model holds a part of everything, and a step allocates nothing") {
  using Space = Kokkos::DefaultExecutionSpace;
  comm::Communicator const world;
  auto const self = comm::Communicator::self();
  Sizes const sizes{.features = 64, .depth = 6, .decoder_features = 32};
  std::size_t numbers = 0;
  {
    auto one = trial_on<Space, float>(self, sizes);
    numbers = parameter_count(one.model);
  }
  for (auto const sharding : all_shardings) {
    CAPTURE(static_cast<int>(sharding));
    comm::Mesh const mesh(world, {1, world.size(), 1});
    AllocationCounter const counter;
    auto trial = trial_on<Space, float>(mesh.tensor(), sizes);
    parallel::DataParallel training(trial.exec, mesh, trial.model, sharding);
    AdamW<Space, float> optimizer(trial.exec, training);
    MemoryByName const rest(counter);
    auto const share = [&](std::size_t bytes) {
      return static_cast<double>(bytes) / static_cast<double>(numbers * sizeof(float));
    };
    double const part = 1.0 / world.size();
    double const values = sharding == Sharding::full ? part : 1;
    double const moments = sharding == Sharding::none ? 1 : part;
    CHECK(share(rest.parameters) == doctest::Approx(values).epsilon(0.02));
    CHECK(share(rest.gradients) == doctest::Approx(values).epsilon(0.02));
    CHECK(share(rest.optimizer) == doctest::Approx(2 * moments).epsilon(0.02));

    for (std::uint64_t draw = 0; draw < 2; ++draw) step(trial, training, optimizer, 1, draw);
    AllocationCounter const steady;
    step(trial, training, optimizer, 1, 2);
    auto const masks = steady.of_prefix("dchag::models::mask").number; // the test draws those of the whole batch
    CHECK(steady.number() == masks);
    MemoryByName const working(counter);
    CHECK(working.parameters == rest.parameters);
    CHECK(working.gradients == rest.gradients);
    CHECK(working.optimizer == rest.optimizer);
    CHECK(working.buffers == rest.buffers);
    CHECK((rest.buffers > 0) == (training.sharding() != Sharding::none));
    CHECK((rest.activations == 0 && rest.workspace == 0));
    CHECK(working.activations > 0);
    CHECK(working.workspace >= trial.workspace.peak_bytes());
    CHECK(working.total() == counter.live());
  }
}

} // namespace parallel_masked_autoencoder
