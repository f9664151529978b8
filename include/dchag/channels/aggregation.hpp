// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/channels/channel_tokens.hpp>
#include <dchag/channels/form.hpp>
#include <dchag/channels/partition.hpp>
#include <dchag/core/workspace.hpp>
#include <dchag/layers/parameter.hpp>
#include <dchag/ops/pooling_plan.hpp>

namespace dchag {

/// What the modules of a tree need to know besides how many tokens they reduce.
struct AggregationConfig {
  std::size_t width;
  std::size_t heads;
  bool projection_bias = false;    ///< biases on queries, keys and values of the cross-attention, as ClimaX has
  ops::PoolingChoice pooling = {}; ///< of the fused cross-attention; left to the cost model if not said
  Range own_heads = {};            ///< of this rank, where ranks share the heads; if empty, all
  Range channels = {};             ///< of the model, which the inputs are; if empty, they are none
};

/// What a level's layer learns of each of its inputs, so that a file whose channels have another order can be read.
enum class InputWeights {
  none,    ///< nothing: its inputs are all treated alike
  marked,  ///< weights, which are marked as those of `AggregationConfig::channels` (see `ParameterSpec::channels`)
  unmarked ///< anything else
};

/// A module of a tree: reduces the tokens of each position to one.
///
/// `forward(workspace, context, tokens, members, y)`: tokens (M, N, D) -> y (N, D); `members` (M) says which of the
/// module's inputs the tokens are, since channels may be absent.
/// `backward(workspace, context, tokens, members, d_y, wanted, d_tokens)`: d_tokens (wanted.size(), N, D) gets the
/// gradients of the tokens in the range `wanted`, or is `no_gradient`. In its fused form a module also takes
/// `ChannelTokens`, all of whose gradients go to `ChannelTokenGradients`.
template <class M, class ExecutionSpace, class T>
concept AggregationModule = HasParameters<M> &&
    requires(M& reducer, Workspace<ExecutionSpace>& workspace, typename M::Context& context,
             Tensor<ExecutionSpace, T, 3> const& tokens, Tensor<ExecutionSpace, std::size_t, 1> const& members,
             Tensor<ExecutionSpace, T, 2> const& y, Range wanted) {
  reducer.forward(workspace, context, tokens, members, y);
  reducer.backward(workspace, context, tokens, members, y, wanted, tokens);
  reducer.backward(workspace, context, tokens, members, y, wanted, no_gradient);
};

namespace detail {
/// What an aggregator has in common with others that differ in the shape of their tree alone: `AnyAggregator` holds
/// that.
template <class Aggregator>
struct WithoutShape {
  using type = Aggregator;
};
} // namespace detail

} // namespace dchag
