// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/channels/detail/head_shared_cross_attention.hpp>

namespace dchag {

/// As the final module of a `DistributedAggregator`: the cross-attention with its heads shared by the ranks, so that
/// each holds and computes 1 / P of it, for one all-reduce forward and one reduction of the gathered gradient backward.
struct HeadShared {
  static constexpr char const* name = CrossAttention::name; // the same function
  static constexpr bool has_heads = true;
  static constexpr InputWeights input_weights = InputWeights::none;

  template <class ExecutionSpace, class T, class Form>
  using Module = detail::HeadSharedCrossAttention<ExecutionSpace, T, Form>;
};

} // namespace dchag
