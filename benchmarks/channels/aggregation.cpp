// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/channels/channel_aggregator.hpp>
#include <dchag/channels/distributed_aggregator.hpp>
#include <dchag/channels/distributed_tokenization.hpp>

#include "benchmarks/support/kept.hpp"
#include "benchmarks/support/measure.hpp"
#include "benchmarks/support/operations.hpp"
#include "benchmarks/support/sizes.hpp"
#include "tests/support/allocations.hpp"

namespace dchag::bench {
namespace {

using Exec = Kokkos::DefaultExecutionSpace;
using T = float;

/// Forward and backward of one aggregator, and what it keeps between the two.
template <class Aggregator>
class AggregationCase {
public:
  AggregationCase(Sizes const& sizes, Aggregator aggregator)
      : m_aggregator(std::move(aggregator)), m_image(make_image<Exec, T>(sizes, m_aggregator.own_channels().size())),
        m_y(allocate<T>(Exec(), "y", Extents<3>{sizes.samples, sizes.positions(), sizes.width})),
        m_d_y(allocate<T>(Exec(), "d_y", Extents<3>{sizes.samples, sizes.positions(), sizes.width})) {
    Kokkos::deep_copy(m_d_y, T(1e-3));
    step(); // the workspace grows to its size
    m_context = {};
    test::AllocationCounter const counter;
    m_aggregator.forward(m_workspace, m_context, m_image, m_y);
    auto const workspace = counter.by_label().find("dchag::core::workspace");
    m_held = counter.live() - (workspace == counter.by_label().end() ? 0 : workspace->second.bytes);
  }

  void step() {
    m_aggregator.forward(m_workspace, m_context, m_image, m_y);
    m_aggregator.backward(m_workspace, m_context, m_image, m_d_y, no_gradient);
  }
  std::size_t held() const { return m_held; }

private:
  Workspace<Exec> m_workspace;
  Aggregator m_aggregator;
  typename Aggregator::Context m_context;
  Tensor<Exec, T, 4> m_image;
  Tensor<Exec, T, 3> m_y, m_d_y;
  std::size_t m_held = 0;
};

struct Cost {
  double operations;
  double sent;
};

template <class Aggregator, class Config>
void add_aggregator(std::string const& aggregator, Sizes const& sizes, Cost (*cost)(Sizes const&),
                    Config (*config)(Sizes const&)) {
  using Case = AggregationCase<Aggregator>;
  auto const name = concat(aggregator, '/', sizes.name);
  add(name, [=](benchmark::State& state) {
    auto& work = kept<Case>(name, [&] {
      if constexpr (std::is_constructible_v<Aggregator, Exec, Config>)
        return new Case(sizes, Aggregator(Exec(), config(sizes)));
      else
        return new Case(sizes, Aggregator(Exec(), ranks(), config(sizes)));
    });
    auto const [operations, sent] = cost(sizes);
    measure<T>(state, sizes.label(), {operations, work.held(), sent}, [&] { work.step(); });
  });
}

double tokenizer_operations(Sizes const& sizes) {
  auto const N = static_cast<double>(sizes.rows());
  auto const C = static_cast<double>(sizes.channels);
  auto const s = static_cast<double>(sizes.pixels());
  auto const D = static_cast<double>(sizes.width);
  return tokenizer_forward(N, C, s, D) + tokenizer_backward(N, C, s, D);
}

template <class Tree>
double tree_operations(Sizes const& sizes, std::size_t inputs) {
  return TreeOperations<Tree>::count(static_cast<double>(sizes.rows()), inputs, static_cast<double>(sizes.width));
}

// What each rank receives of an AllGather in which every rank gives so many tokens of each position.
double gather_bytes(Sizes const& sizes, std::size_t tokens) {
  return static_cast<double>(static_cast<std::size_t>(ranks().size() - 1) * tokens * sizes.rows() * sizes.width *
                             sizeof(T));
}

// At least two, so that one rank runs the model of two.
std::size_t groups() {
  return std::max<std::size_t>(2, static_cast<std::size_t>(ranks().size()));
}

AggregatorConfig config_of_one(Sizes const& sizes) {
  return {.channels = sizes.channels, .patch = sizes.patch, .width = sizes.width, .heads = sizes.heads};
}
DistributedAggregatorConfig config_of_groups(Sizes const& sizes) {
  return {
      .channels = sizes.channels, .groups = groups(), .patch = sizes.patch, .width = sizes.width, .heads = sizes.heads};
}

/// Every rank does everything: what D-CHAG is measured against.
void add_flat(Sizes const& sizes) {
  using Policy = Tree<CrossAttention>;
  add_aggregator<ChannelAggregator<Exec, T, Policy>>(
      "flat", sizes,
      [](Sizes const& of) {
        return Cost{tokenizer_operations(of) + tree_operations<Policy>(of, of.channels), 0};
      },
      config_of_one);
}

/// Every rank tokenizes its own channels, gathers those of all, and aggregates all.
void add_tokens(Sizes const& sizes) {
  using Policy = Tree<CrossAttention>;
  add_aggregator<DistributedTokenization<Exec, T, Policy>>(
      "tokens", sizes,
      [](Sizes const& of) {
        auto const P = static_cast<std::size_t>(ranks().size());
        return Cost{tokenizer_operations(of) + tree_operations<Policy>(of, of.channels),
                    gather_bytes(of, (of.channels + P - 1) / P)};
      },
      config_of_one);
}

/// D-CHAG with this tree in each group.
template <class Policy>
void add_dchag(std::string const& name, Sizes const& sizes) {
  add_aggregator<DistributedAggregator<Exec, T, Policy>>(
      name, sizes,
      [](Sizes const& of) {
        std::size_t const G = groups();
        double operations = tokenizer_operations(of) + tree_operations<Tree<CrossAttention>>(of, G);
        for (std::size_t g = 0; g < G; ++g)
          operations += tree_operations<Policy>(of, even_part(of.channels, G, g).size());
        return Cost{operations, gather_bytes(of, G / static_cast<std::size_t>(ranks().size()))};
      },
      config_of_groups);
}

template <class Layer>
void add_trees(std::string const& letter, Sizes const& sizes) {
  add_dchag<Tree<Layer>>(letter + "/Tree0", sizes);
  add_dchag<Tree<Layer, 2>>(letter + "/Tree2", sizes);
  add_dchag<Tree<Layer, 4>>(letter + "/Tree4", sizes);
  add_dchag<Tree<Layer, 8>>(letter + "/Tree8", sizes);
}

bool const registered = [] {
  for (auto const& sizes : all_sizes) {
    add_flat(sizes);
    add_tokens(sizes);
    add_trees<CrossAttention>("C", sizes);
    add_trees<Linear>("L", sizes);
  }
  return true;
}();

} // namespace
} // namespace dchag::bench
