// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/channels/any_aggregator.hpp>
#include <dchag/channels/distributed_aggregator.hpp>
#include <dchag/comm/mesh.hpp>

#include "options.hpp"

namespace hyperspectral {

using Space = Kokkos::DefaultExecutionSpace;

/// The model around it is compiled once, and not for each.
template <class T>
using AnyAggregator = dchag::AnyAggregator<Space, T>;

/// D-CHAG with this tree in each group.
template <class T, class Form, class Tree>
AnyAggregator<T> make_dchag(std::size_t groups, ModelSettings const& settings, dchag::comm::Mesh const& mesh) {
  using Aggregator = dchag::DistributedAggregator<Space, T, Tree, dchag::CrossAttention, Form>;
  return AnyAggregator<T>(Aggregator(Space(), mesh.tensor(),
                                     {.channels = settings.channels,
                                      .groups = groups,
                                      .patch = settings.patch,
                                      .width = settings.width,
                                      .heads = settings.heads,
                                      .seed = settings.seed,
                                      .channel_names = settings.channel_names}));
}

/// The aggregation of all channels by one module.
inline dchag::AggregatorConfig flat_config(ModelSettings const& settings) {
  return {.channels = settings.channels,
          .patch = settings.patch,
          .width = settings.width,
          .heads = settings.heads,
          .seed = settings.seed,
          .channel_names = settings.channel_names};
}

// Each is compiled in a file of its own: they take most of the build's time.
template <class T, class Form>
AnyAggregator<T> make_flat(ModelSettings const& settings, dchag::comm::Mesh const& mesh);
template <class T, class Form>
AnyAggregator<T> make_tensor_parallel(ModelSettings const& settings, dchag::comm::Mesh const& mesh);
template <class T, class Form>
AnyAggregator<T> make_distributed_tokens(ModelSettings const& settings, dchag::comm::Mesh const& mesh);
template <class T, class Form>
AnyAggregator<T> make_cross_attention(std::size_t fan_out, std::size_t groups, ModelSettings const& settings,
                                      dchag::comm::Mesh const& mesh);
template <class T, class Form>
AnyAggregator<T> make_linear(std::size_t fan_out, std::size_t groups, ModelSettings const& settings,
                             dchag::comm::Mesh const& mesh);

} // namespace hyperspectral
