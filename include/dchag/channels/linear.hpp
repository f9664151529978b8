// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/channels/aggregation.hpp>
#include <dchag/channels/detail/weighted_sum.hpp>
#include <dchag/ops/fused_sum.hpp>

namespace dchag {

/// Reduces the tokens of each position to one by a weighted sum, y = sum over c of w[c] x[c] + beta: one scalar per
/// input, shared by positions and features, no nonlinearity.
///
/// Shapes: tokens (M, N, D) -> y (N, D). Parameters `<name>.weight` (inputs), `<name>.bias` (1). The weights start at
/// 1 / inputs, so that the sum starts as the mean, where the cross-attention with its zero query starts too.
/// Source: the paper, section 3 (-L).
template <KokkosExecutionSpace ExecutionSpace, Scalar T>
class LinearModule {
public:
  using value_type = T;
  using Context = struct {};

  LinearModule(ExecutionSpace const& exec, std::string const& name, std::size_t inputs, AggregationConfig const& config,
               Placement placement, std::uint64_t /*seed*/)
      : m_weight(exec,
                 {.name = name + ".weight", .shape = {inputs}, .placement = placement, .channels = config.channels},
                 initial::constant(1.0 / static_cast<double>(inputs))),
        m_bias(exec, {.name = name + ".bias", .shape = {1}, .placement = placement}, initial::constant(0)) {}

  /// `members` (M) says which of the module's inputs the tokens are.
  template <class Index>
  void forward(Workspace<ExecutionSpace>& workspace, Context&, Tensor<ExecutionSpace, T, 3> const& tokens,
               Index const& members, Tensor<ExecutionSpace, T, 2> const& y) const {
    require_shape("Linear::forward", "y", y, {tokens.extent(1), tokens.extent(2)});
    detail::weighted_sum(workspace.exec(), tokens, members, m_weight.values(), m_bias.values(), y);
  }

  /// The same of tokens that are not made: one product with inner extent C s.
  template <class Source, class Index>
  void forward(Workspace<ExecutionSpace>& workspace, Context&, ChannelTokens<ExecutionSpace, T, Source> const& tokens,
               Index const& members, Tensor<ExecutionSpace, T, 2> const& y) const {
    ops::fused_sum_forward(workspace, tokens.patches, tokens.weights, m_weight.values(), m_bias.values(), members, y);
  }

  template <class Source, class DSource, class Index>
  void backward(Workspace<ExecutionSpace>& workspace, Context const&,
                ChannelTokens<ExecutionSpace, T, Source> const& tokens, Index const& members,
                Tensor<ExecutionSpace, T, 2> const& d_y, Range /*all*/,
                ChannelTokenGradients<ExecutionSpace, T, DSource> const& d_tokens) const {
    ops::fused_sum_backward(workspace, tokens.patches, tokens.weights, m_weight.values(), members, d_y,
                            d_tokens.weights, m_weight.gradients(), m_bias.gradients(), d_tokens.patches);
  }

  /// Shapes: d_tokens (wanted.size(), N, D) gets the gradients of the tokens `wanted`, or `no_gradient`.
  template <class Index, GradientView<3> DTokens>
  void backward(Workspace<ExecutionSpace>& workspace, Context const&, Tensor<ExecutionSpace, T, 3> const& tokens,
                Index const& members, Tensor<ExecutionSpace, T, 2> const& d_y, Range wanted,
                DTokens const& d_tokens) const {
    auto const& exec = workspace.exec();
    detail::weighted_sum_weight_gradients(exec, tokens, members, d_y, m_weight.gradients());
    detail::add_total(exec, d_y, m_bias.gradients());
    if constexpr (is_wanted<DTokens>) {
      require_shape("Linear::backward", "d_tokens", d_tokens, {wanted.size(), tokens.extent(1), tokens.extent(2)});
      detail::weighted_sum_input_gradients(exec, wanted.begin, members, m_weight.values(), d_y, d_tokens);
    }
  }

  template <class F>
  void for_each_parameter(F const& f) {
    f(m_weight);
    f(m_bias);
  }

private:
  Parameter<ExecutionSpace, T> m_weight; // (inputs)
  Parameter<ExecutionSpace, T> m_bias;   // (1)
};

/// The paper's -L: an aggregation by a weighted sum, as a level of a tree.
struct Linear {
  static constexpr char const* name = "linear";
  static constexpr bool has_heads = false;
  static constexpr InputWeights input_weights = InputWeights::marked;

  template <class ExecutionSpace, class T, class /*Form*/>
  using Module = LinearModule<ExecutionSpace, T>;
};

} // namespace dchag
