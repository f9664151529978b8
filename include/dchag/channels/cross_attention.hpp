// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/channels/detail/fused_cross_attention.hpp>
#include <dchag/channels/detail/materialized_cross_attention.hpp>

namespace dchag {

/// The paper's -C: an aggregation by cross-attention, as a level of a tree. Reduces the tokens of each position to one
/// by one learnable query, shared by all positions: no residual, no norm, no MLP.
///
///     k = W_k x    u = W_v x    a = softmax over the tokens of k . W_q query / sqrt(d)    y = W_o (sum of a u) + b_o
///
/// Shapes: tokens (M, N, D) -> y (N, D). Parameters `<name>.query` (D), zero at the start; `<name>.q`, `.k`, `.v`,
/// `.out` `.weight` (D, D); `.out.bias` (D) always, the other `.bias` on request. They are the same in both forms.
/// Source: the paper, section 3; biases as in ClimaX (Nguyen et al. 2023) on request.
struct CrossAttention {
  static constexpr char const* name = "cross_attention";
  static constexpr bool has_heads = true;
  static constexpr InputWeights input_weights = InputWeights::none;

  template <class ExecutionSpace, class T, class Form>
  struct Implementation {
    using type = detail::FusedCrossAttention<ExecutionSpace, T, TokenType<Form, T>>;
  };
  template <class ExecutionSpace, class T>
  struct Implementation<ExecutionSpace, T, Materialized> {
    using type = detail::MaterializedCrossAttention<ExecutionSpace, T>;
  };

  template <class ExecutionSpace, class T, class Form>
  using Module = typename Implementation<ExecutionSpace, T, Form>::type;
};

} // namespace dchag
