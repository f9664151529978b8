// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause

// A training step of aggregator and tensor-parallel encoder under every strategy of sharing channels among ranks: bytes
// that a rank holds and sends, and the processor time it computes. One row for each strategy and number of channels, as
// CSV on standard output:
//
//   mpiexec -n 8 bench.strategies [--small]
//
// Time is that of the slowest rank outside of MPI, the median of three steps: with more ranks than processors, how long
// ranks wait for each other says nothing.
#include <dchag/channels/any_aggregator.hpp>
#include <dchag/channels/distributed_aggregator.hpp>
#include <dchag/channels/distributed_tokenization.hpp>
#include <dchag/channels/flat_aggregator.hpp>
#include <dchag/channels/tensor_parallel_aggregator.hpp>
#include <dchag/comm/session.hpp>
#include <dchag/models/encoder.hpp>
#include <dchag/train/adamw.hpp>

#include "tests/support/memory.hpp"
#include "tests/support/pmpi.hpp"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <string>
#include <string_view>

namespace dchag::bench {
namespace {

using Space = Kokkos::DefaultExecutionSpace;
using T = float;
using Aggregator = AnyAggregator<Space, T>;

/// As the paper's figures 8, 9 and 13, at a size that runs on two cores.
struct Sizes {
  std::size_t channels;
  std::size_t rows = 8, columns = 16; // of patches: L = 128
  std::size_t patch = 4, width = 256, heads = 8, depth = 8;

  Grid grid() const { return {rows, columns}; }
  AggregatorConfig flat() const {
    return {.channels = channels, .patch = patch, .width = width, .heads = heads, .seed = 1};
  }
  DistributedAggregatorConfig grouped(int ranks) const {
    return {.channels = channels,
            .groups = static_cast<std::size_t>(ranks),
            .patch = patch,
            .width = width,
            .heads = heads,
            .seed = 1};
  }
};

/// Aggregator and encoder, as a model to train.
class Model {
public:
  using value_type = T;
  using execution_space = Space;

  struct Context {
    Aggregator::Context aggregator;
    Encoder<Space, T, parallel::TensorParallel>::Context encoder;
    Tensor<Space, T, 3> fused, latent; // (B, L, D)
  };

  Model(Aggregator aggregator, comm::Communicator const& tensor, Sizes const& sizes)
      : m_aggregator(std::move(aggregator)),
        m_encoder(Space(), "encoder",
                  {.grid = sizes.grid(), .width = sizes.width, .depth = sizes.depth, .heads = sizes.heads}, 1,
                  parallel::TensorParallel(tensor)) {}

  Aggregator const& aggregator() const { return m_aggregator; }

  template <class Image, class Index>
  void step(Workspace<Space>& workspace, Context& context, Image const& image, Index const& positions,
            Tensor<Space, T, 3> const& d_latent) const {
    auto const& exec = workspace.exec();
    reserve(exec, context.fused, "dchag::models::fused", extents_of(d_latent));
    reserve(exec, context.latent, "dchag::models::latent", extents_of(d_latent));
    m_aggregator.forward(workspace, context.aggregator, image, context.fused);
    m_encoder.forward(workspace, context.encoder, context.fused, positions, context.latent);
    auto frame = workspace.frame();
    auto const d_fused = frame.template take<T, 3>(extents_of(d_latent));
    m_encoder.backward(workspace, context.encoder, positions, d_latent, d_fused);
    m_aggregator.backward(workspace, context.aggregator, image, d_fused, no_gradient);
  }

  template <class F>
  void for_each_parameter(F const& f) {
    m_aggregator.for_each_parameter(f);
    m_encoder.for_each_parameter(f);
  }

private:
  Aggregator m_aggregator;
  Encoder<Space, T, parallel::TensorParallel> m_encoder;
};

double largest(comm::Communicator const& world, double value) {
  return comm::all_reduce(world, value, comm::Reduce::max);
}

/// `make` makes the aggregator: counted is what it holds, and no other at that time.
void run(comm::Communicator const& world, std::string const& name, Sizes const& sizes,
         std::function<Aggregator()> const& make) {
  test::AllocationCounter const counter;
  Workspace<Space> workspace;
  Model model(make(), world, sizes);
  AdamW<Space, T> optimizer(workspace.exec(), model);
  Model::Context context;
  auto const own = model.aggregator().own_channels();
  Tensor<Space, T, 4> const image("dchag::bench::image", 1, own.size(), sizes.rows * sizes.patch,
                                  sizes.columns * sizes.patch);
  Kokkos::deep_copy(image, T(0.25));
  Tensor<Space, T, 3> const d_latent("dchag::bench::d_latent", 1, sizes.grid().positions(), sizes.width);
  Kokkos::deep_copy(d_latent, T(1e-3));
  Tensor<Space, std::size_t, 1> const positions("dchag::bench::positions", sizes.grid().positions());
  auto const host = Kokkos::create_mirror_view(positions);
  for (std::size_t i = 0; i < host.size(); ++i) host(i) = i;
  Kokkos::deep_copy(positions, host);
  auto const step = [&] {
    clear_gradients(workspace.exec(), model);
    model.step(workspace, context, image, positions, d_latent);
    parallel::sum_partial_gradients(workspace, world, model);
    optimizer.step(workspace.exec(), model, 1e-4);
    workspace.exec().fence();
  };
  step();
  step();
  std::vector<double> seconds;
  std::size_t sent = 0;
  for (int i = 0; i < 3; ++i) {
    support::CommCount const count;
    double const begin = support::cpu_seconds();
    step();
    double const computed = support::cpu_seconds() - begin - count.seconds();
    sent = count.total_bytes_sent();
    seconds.push_back(largest(world, computed));
  }
  std::ranges::sort(seconds);
  test::MemoryByName const held(counter);
  auto const state = largest(world, static_cast<double>(held.parameters + held.gradients + held.optimizer));
  auto const work = largest(world, static_cast<double>(held.activations + held.workspace));
  auto const bytes = largest(world, static_cast<double>(sent));
  if (world.rank() == 0) {
    std::printf("%d,%zu,%s,%.3f,%.3f,%.3f,%.1f\n", world.size(), sizes.channels, name.c_str(), state / (1 << 20),
                work / (1 << 20), bytes / (1 << 20), 1e3 * seconds[1]);
    std::fflush(stdout);
  }
}

template <class Policy, class Form>
void run_grouped(comm::Communicator const& world, std::string const& name, Sizes const& sizes) {
  using Grouped = DistributedAggregator<Space, T, Policy, CrossAttention, Form>;
  run(world, name, sizes, [&] { return Aggregator(Grouped(Space(), world, sizes.grouped(world.size()))); });
}

template <class Layer>
void run_trees(comm::Communicator const& world, std::string const& letter, Sizes const& sizes) {
  run_grouped<Tree<Layer>, Materialized>(world, letter + " Tree0 materialized", sizes);
  run_grouped<Tree<Layer, 2>, Materialized>(world, letter + " Tree2 materialized", sizes);
  run_grouped<Tree<Layer, 4>, Materialized>(world, letter + " Tree4 materialized", sizes);
  run_grouped<Tree<Layer, 8>, Materialized>(world, letter + " Tree8 materialized", sizes);
  run_grouped<Tree<Layer>, Fused>(world, letter + " Tree0 fused", sizes);
  run_grouped<Tree<Layer, 2>, Fused>(world, letter + " Tree2 fused", sizes);
  run_grouped<Tree<Layer, 4>, Fused>(world, letter + " Tree4 fused", sizes);
  run_grouped<Tree<Layer, 8>, Fused>(world, letter + " Tree8 fused", sizes);
}

template <class Form>
void run_baselines(comm::Communicator const& world, std::string const& form, Sizes const& sizes) {
  run(world, "tensor parallelism " + form, sizes,
      [&] { return Aggregator(TensorParallelAggregator<Space, T, Form>(Space(), world, sizes.flat())); });
  run(world, "distributed tokenization " + form, sizes, [&] {
    return Aggregator(DistributedTokenization<Space, T, Tree<CrossAttention>, Form>(Space(), world, sizes.flat()));
  });
}

template <class Form>
void run_exact(comm::Communicator const& world, std::string const& form, Sizes const& sizes) {
  run(world, "flat exact " + form, sizes,
      [&] { return Aggregator(FlatAggregator<Space, T, Form>(Space(), world, sizes.flat())); });
}

void run_all(comm::Communicator const& world, Sizes const& sizes) {
  run_baselines<Materialized>(world, "materialized", sizes);
  run_baselines<Fused>(world, "fused", sizes);
  run_trees<CrossAttention>(world, "-C", sizes);
  run_trees<Linear>(world, "-L", sizes);
  run_exact<Materialized>(world, "materialized", sizes);
  run_exact<Fused>(world, "fused", sizes);
}

int run(int argc, char** argv, comm::Communicator const& world) {
  bool const small = argc == 2 && std::string_view(argv[1]) == "--small";
  require<Error>(argc == 1 || small, "bench.strategies: '", argv[argc - 1], "', expected nothing or --small");
  if (world.rank() == 0)
    std::printf("ranks,channels,strategy,parameters_gradients_moments_mib,activations_scratch_mib,sent_mib,ms\n");
  if (small) {
    run_all(world, {.channels = 32, .rows = 2, .columns = 2, .width = 32, .depth = 1});
    return 0;
  }
  for (std::size_t const channels : {64u, 128u, 256u, 512u, 1024u}) run_all(world, {.channels = channels});
  return 0;
}

} // namespace
} // namespace dchag::bench

int main(int argc, char** argv) {
  dchag::comm::Session const session(argc, argv);
  Kokkos::ScopeGuard const kokkos(argc, argv);
  dchag::comm::Communicator const world;
  return dchag::comm::run_main(world, [&] { return dchag::bench::run(argc, argv, world); });
}
