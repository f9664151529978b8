// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/parallel/data_parallel.hpp>
#include <dchag/train/adamw.hpp>
#include <dchag/train/clipping.hpp>

#include <support/distributed.hpp>
#include <support/unit_model.hpp>

namespace dchag::test {

inline constexpr parallel::Sharding all_shardings[] = {parallel::Sharding::none, parallel::Sharding::optimizer,
                                                       parallel::Sharding::full};

/// Every mesh of these ranks whose axis `tensor` has this size.
inline std::vector<comm::MeshShape> mesh_shapes(int ranks, int tensor = 1) {
  std::vector<comm::MeshShape> shapes;
  for (int shard = 1; shard * tensor <= ranks; ++shard)
    if (ranks % (shard * tensor) == 0) shapes.push_back({tensor, shard, ranks / (shard * tensor)});
  return shapes;
}

/// The policy at work: one rank shares with nobody.
inline parallel::Sharding effective(parallel::Sharding sharding, comm::MeshShape const& shape) {
  return shape.shard > 1 ? sharding : parallel::Sharding::none;
}

/// Samples of a batch of B that micro-batch k of K of this replica works on.
inline Range samples_of(comm::Mesh const& mesh, std::size_t B, std::size_t k, std::size_t K) {
  auto const R = static_cast<std::size_t>(mesh.replicas().size());
  auto const r = static_cast<std::size_t>(mesh.replicas().rank());
  return even_part(B, R * K, r * K + k);
}

/// One rank that sees the whole batch, with nothing of parallel/.
template <class Space, class T>
struct Alone {
  static constexpr std::size_t B = 16;

  double step() {
    clear_gradients(exec, model);
    model.forward(workspace, context, batch);
    double const loss = model.backward(workspace, context);
    gradients = gradients_of(model);
    norm = clip_gradients(exec, model, 0.05);
    optimizer.step(exec, model, 1e-2);
    return loss;
  }

  Space exec;
  Workspace<Space> workspace{exec};
  UnitModel<Space, T> model{exec};
  typename UnitModel<Space, T>::Context context;
  AdamW<Space, T> optimizer;
  Tensor<Space, T, 2> batch = random_tensor<T>(exec, 1, "batch", {B, std::size_t{6}});
  Numbers gradients; // before clipping
  double norm = 0;
};

/// The same on the ranks of a mesh.
template <class Space, class T>
struct Replica {
  using Model = UnitModel<Space, T>;
  static constexpr std::size_t B = Alone<Space, T>::B;

  Replica(comm::Communicator const& world, comm::MeshShape shape, parallel::Sharding sharding)
      : Replica(world, shape, sharding, Model(Space())) {}
  Replica(comm::Communicator const& world, comm::MeshShape shape, parallel::Sharding sharding, Model of_ranks)
      : mesh(world, shape), model(std::move(of_ranks)), training(exec, mesh, model, sharding),
        optimizer(exec, training) {}

  double evaluate(std::size_t k = 0, std::size_t K = 1) {
    auto const samples = samples_of(mesh, B, k, K);
    model.forward(workspace, context, Kokkos::subview(batch, std::pair(samples.begin, samples.end), Kokkos::ALL));
    double loss = 0;
    for (double y : flat(context.x[Model::depth])) loss += 0.5 * y * y / static_cast<double>(samples.size());
    return training.mean(loss);
  }
  double gradients(std::size_t K = 1) {
    double loss = 0;
    training.begin_step(K);
    for (std::size_t k = 0; k < K; ++k) {
      auto const samples = samples_of(mesh, B, k, K);
      model.forward(workspace, context, Kokkos::subview(batch, std::pair(samples.begin, samples.end), Kokkos::ALL));
      loss += model.backward(workspace, context) / static_cast<double>(K);
    }
    training.finish_backward();
    return loss;
  }
  double step(std::size_t K = 1) {
    double const loss = gradients(K);
    norm = clip_gradients(exec, training, 0.05, training.gradient_sum());
    optimizer.step(exec, training, 1e-2);
    training.values_changed();
    return training.mean(loss);
  }

  Space exec;
  comm::Mesh mesh;
  Workspace<Space> workspace{exec};
  Model model;
  typename Model::Context context;
  parallel::DataParallel<Model> training;
  AdamW<Space, T> optimizer;
  Tensor<Space, T, 2> batch = random_tensor<T>(exec, 1, "batch", {B, std::size_t{6}});
  double norm = 0;
};

/// Checks without a rank going on alone.
inline bool everywhere(comm::Communicator const& world, bool verdict) {
  return ranks_where(world, verdict) == world.size();
}

} // namespace dchag::test
