// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/channels/channel_aggregator.hpp>
#include <dchag/channels/distributed_aggregator.hpp>
#include <dchag/channels/distributed_tokenization.hpp>
#include <dchag/channels/flat_aggregator.hpp>

#include "benchmarks/support/held.hpp"
#include "benchmarks/support/operations.hpp"
#include "benchmarks/support/roof.hpp"
#include "benchmarks/support/sizes.hpp"

/// \file
/// The aggregators that are measured against each other, each with what it costs by formula. All in float.
namespace dchag::bench {

using Exec = Kokkos::DefaultExecutionSpace;
using T = float;

/// Of forward and backward.
struct Cost {
  double operations;   ///< of all ranks together: what ranks repeat counts once
  double forward = 0;  ///< bytes that each rank gives to MPI
  double backward = 0; ///< bytes that each rank gives to MPI

  double sent() const { return forward + backward; }
};

inline std::size_t rank_count() {
  return static_cast<std::size_t>(ranks().size());
}
/// Bytes of these numbers, given to MPI; one rank gives nothing.
inline double given(std::size_t numbers) {
  return rank_count() == 1 ? 0 : static_cast<double>(numbers * sizeof(T));
}

inline ops::PoolingSizes pooling_sizes(Sizes const& sizes, std::size_t tokens) {
  return {sizes.rows(), tokens, sizes.pixels(), sizes.width, sizes.heads, sizes.width};
}

/// Tokenizer and tree over so many channels.
template <class Policy, AggregationForm Form>
double tree_operations(Sizes const& sizes, std::size_t channels, ops::PoolingChoice const& pooling = {}) {
  if constexpr (std::same_as<Form, Fused>) {
    return FusedOperations<Policy>::count(pooling_sizes(sizes, channels), pooling);
  } else {
    auto const N = static_cast<double>(sizes.rows());
    auto const C = static_cast<double>(channels);
    auto const s = static_cast<double>(sizes.pixels());
    auto const D = static_cast<double>(sizes.width);
    return tokenizer_forward(N, C, s, D) + tokenizer_backward(N, C, s, D) +
           TreeOperations<Policy>::count(N, channels, D);
  }
}

inline AggregatorConfig aggregator_config(Sizes const& sizes, ops::PoolingChoice const& pooling = {}) {
  return {
      .channels = sizes.channels, .patch = sizes.patch, .width = sizes.width, .heads = sizes.heads, .pooling = pooling};
}

/// One module over all channels; every rank does everything.
template <AggregationForm Form = Fused>
struct Flat {
  using Policy = Tree<CrossAttention>;
  using Aggregator = ChannelAggregator<Exec, T, Policy, Form>;
  ops::PoolingChoice pooling = {};

  Aggregator make(Sizes const& sizes) const { return Aggregator(Exec(), aggregator_config(sizes, pooling)); }
  Cost cost(Sizes const& sizes) const { return {tree_operations<Policy, Form>(sizes, sizes.channels, pooling)}; }
};

/// The same function, each rank with its own channels.
struct Exact {
  using Aggregator = FlatAggregator<Exec, T>;

  Aggregator make(Sizes const& sizes) const { return Aggregator(Exec(), ranks(), aggregator_config(sizes)); }
  Cost cost(Sizes const& sizes) const {
    std::size_t const N = sizes.rows();
    std::size_t const D = sizes.width;
    std::size_t const h = sizes.heads;
    return {tree_operations<Tree<CrossAttention>, Fused>(sizes, sizes.channels), given(N * h + N * (D + h)),
            given(D * D + h * D)};
  }
};

/// The same function: every rank tokenizes its own channels, gathers those of all, and aggregates all.
struct Tokens {
  using Policy = Tree<CrossAttention>;
  using Aggregator = DistributedTokenization<Exec, T, Policy, Materialized>;

  Aggregator make(Sizes const& sizes) const { return Aggregator(Exec(), ranks(), aggregator_config(sizes)); }
  Cost cost(Sizes const& sizes) const {
    std::size_t const own = (sizes.channels + rank_count() - 1) / rank_count();
    return {tree_operations<Policy, Materialized>(sizes, sizes.channels), given(own * sizes.rows() * sizes.width)};
  }
};

/// D-CHAG with this tree in each group and this final module. How many groups there are may depend on the ranks of the
/// run.
template <class Policy, AggregationForm Form = Fused, class Final = CrossAttention>
struct Grouped {
  using Aggregator = DistributedAggregator<Exec, T, Policy, Final, Form>;
  std::size_t (*groups)();

  Aggregator make(Sizes const& sizes) const {
    return Aggregator(Exec(), ranks(),
                      {.channels = sizes.channels,
                       .groups = groups(),
                       .patch = sizes.patch,
                       .width = sizes.width,
                       .heads = sizes.heads});
  }
  Cost cost(Sizes const& sizes) const {
    std::size_t const G = groups();
    double operations = 0;
    for (std::size_t g = 0; g < G; ++g)
      operations += tree_operations<Policy, Form>(sizes, even_part(sizes.channels, G, g).size());
    if constexpr (std::same_as<Form, Fused>)
      operations += FusedModuleOperations<CrossAttention>::above(pooling_sizes(sizes, G));
    else
      operations += TreeOperations<Tree<CrossAttention>>::count(static_cast<double>(sizes.rows()), G,
                                                                static_cast<double>(sizes.width));
    std::size_t const token = sizes.rows() * sizes.width;
    if constexpr (std::same_as<Final, HeadShared>)
      return {operations, given((G / rank_count() + 1) * token), given(G * token)};
    else
      return {operations, given(G / rank_count() * token)};
  }
};

/// Forward and backward of one aggregator on an image of its own channels, and what it keeps between the two.
template <class Aggregator>
class AggregationCase {
public:
  AggregationCase(Sizes const& sizes, Aggregator aggregator)
      : m_aggregator(std::move(aggregator)), m_image(make_image<Exec, T>(sizes, m_aggregator.own_channels().size())),
        m_y(allocate<T>(Exec(), "y", Extents<3>{sizes.samples, sizes.positions(), sizes.width})),
        m_d_y(allocate<T>(Exec(), "d_y", Extents<3>{sizes.samples, sizes.positions(), sizes.width})) {
    Kokkos::deep_copy(m_d_y, T(1e-3));
  }

  void forward() { m_aggregator.forward(m_workspace, m_context, m_image, m_y); }
  void backward() { m_aggregator.backward(m_workspace, m_context, m_image, m_d_y, no_gradient); }
  void step() {
    forward();
    backward();
  }

  /// Bytes that a forward pass leaves for the backward pass; begins with an empty context.
  std::size_t count_held() {
    m_context = {};
    test::AllocationCounter const counter;
    forward();
    return bytes_held(counter);
  }

  Aggregator& aggregator() { return m_aggregator; }

private:
  Workspace<Exec> m_workspace;
  Aggregator m_aggregator;
  typename Aggregator::Context m_context;
  Tensor<Exec, T, 4> m_image;
  Tensor<Exec, T, 3> m_y, m_d_y;
};

} // namespace dchag::bench
