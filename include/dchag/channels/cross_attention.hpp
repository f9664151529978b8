// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/channels/aggregation.hpp>
#include <dchag/layers/linear.hpp>
#include <dchag/ops/attention_pooling.hpp>

namespace dchag {

/// Reduces the tokens of each position to one by cross-attention with one learnable query, shared by all positions:
/// no residual, no norm, no MLP. Keys and values are stored: the reference and the paper's baseline.
///
///     k = W_k x    u = W_v x    a = softmax over the tokens of k . W_q query / sqrt(d)    y = W_o (sum of a u) + b_o
///
/// Shapes: tokens (M, N, D) -> y (N, D). Parameters `<name>.query` (D), zero at the start; `<name>.q`, `.k`, `.v`,
/// `.out`
/// `.weight` (D, D); `.out.bias` (D) always, the other `.bias` on request.
/// Source: the paper, section 3; biases as in ClimaX (Nguyen et al. 2023) on request.
template <KokkosExecutionSpace ExecutionSpace, Scalar T>
class CrossAttentionModule {
public:
  using value_type = T;

  struct Context {
    Tensor<ExecutionSpace, T, 3> keys;    // (M, N, D)
    Tensor<ExecutionSpace, T, 3> values;  // (M, N, D)
    Tensor<ExecutionSpace, T, 3> weights; // (N, h, M)
    Tensor<ExecutionSpace, T, 2> pooled;  // (N, D)
    Tensor<ExecutionSpace, T, 2> query;   // (1, D), projected
  };

  /// The number of inputs, the largest M, is of no consequence here: no parameter belongs to an input.
  CrossAttentionModule(ExecutionSpace const& exec, std::string const& name, std::size_t /*inputs*/,
                       AggregationConfig const& config, Placement placement, std::uint64_t seed)
      : m_config(checked(name, config)),
        m_query(exec, {.name = name + ".query", .shape = {config.width}, .placement = placement}, initial::constant(0)),
        m_q(exec, name + ".q", projection(config.projection_bias, placement), seed),
        m_k(exec, name + ".k", projection(config.projection_bias, placement), seed),
        m_v(exec, name + ".v", projection(config.projection_bias, placement), seed),
        m_out(exec, name + ".out", projection(true, placement), seed) {}

  template <class Index>
  void forward(Workspace<ExecutionSpace>& workspace, Context& context, Tensor<ExecutionSpace, T, 3> const& tokens,
               Index const& /*members*/, Tensor<ExecutionSpace, T, 2> const& y) const {
    auto const& exec = workspace.exec();
    auto const [M, N, D] = extents_of(tokens);
    reserve(exec, context.keys, "dchag::channels::keys", Extents<3>{M, N, D});
    reserve(exec, context.values, "dchag::channels::values", Extents<3>{M, N, D});
    reserve(exec, context.weights, "dchag::channels::attention", Extents<3>{N, m_config.heads, M});
    reserve(exec, context.pooled, "dchag::channels::pooled", Extents<2>{N, D});
    reserve(exec, context.query, "dchag::channels::query", Extents<2>{1, D});
    NoContext none;
    m_q.forward(workspace, none, row(m_query.values()), context.query);
    m_k.forward(workspace, none, tokens, context.keys);
    m_v.forward(workspace, none, tokens, context.values);
    ops::attention_pooling_forward(exec, m_config.heads, reshape<1>(context.query, {D}), context.keys, context.values,
                                   context.weights, context.pooled);
    m_out.forward(workspace, none, context.pooled, y);
  }

  template <class Index, GradientView<3> DTokens>
  void backward(Workspace<ExecutionSpace>& workspace, Context const& context,
                Tensor<ExecutionSpace, T, 3> const& tokens, Index const& /*members*/,
                Tensor<ExecutionSpace, T, 2> const& d_y, Range wanted, DTokens const& d_tokens) const {
    using ops::Op;
    auto const& exec = workspace.exec();
    auto const [M, N, D] = extents_of(tokens);
    auto frame = workspace.frame();
    auto const d_pooled = frame.template take<T, 2>({N, D});
    auto const d_keys = frame.template take<T, 3>({M, N, D});
    auto const d_values = frame.template take<T, 3>({M, N, D});
    auto const delta = frame.template take<T, 2>({N, m_config.heads});
    auto const d_query_rows = frame.template take<T, 2>({N, D});
    auto const d_query = frame.template take<T, 2>({1, D}); // of the projected query
    NoContext const none;
    m_out.backward(workspace, none, context.pooled, d_y, d_pooled);
    ops::attention_pooling_backward(exec, m_config.heads, reshape<1>(context.query, {D}), context.keys, context.values,
                                    context.weights, context.pooled, d_pooled, delta, d_keys, d_values, d_query_rows);
    Kokkos::deep_copy(exec, d_query, T(0));
    ops::add_column_sums(exec, d_query_rows, reshape<1>(d_query, {D}));
    // the query is a parameter: its gradient is added to, where a layer overwrites the gradient of its input
    m_q.backward(workspace, none, row(m_query.values()), d_query, no_gradient);
    ops::gemm(exec, Op::none, Op::none, T(1), d_query, m_q.weight(), T(1), row(m_query.gradients()));
    m_k.backward(workspace, none, tokens, d_keys, no_gradient);
    m_v.backward(workspace, none, tokens, d_values, no_gradient);
    if constexpr (is_wanted<DTokens>) {
      require_shape("CrossAttention::backward", "d_tokens", d_tokens, {wanted.size(), N, D});
      auto const part = [&](auto const& all) { return rows(slices(all, wanted.begin, wanted.end)); };
      ops::gemm(exec, Op::none, Op::none, T(1), part(d_keys), m_k.weight(), T(0), rows(d_tokens));
      ops::gemm(exec, Op::none, Op::none, T(1), part(d_values), m_v.weight(), T(1), rows(d_tokens));
    }
  }

  template <class F>
  void for_each_parameter(F const& f) {
    f(m_query);
    m_q.for_each_parameter(f);
    m_k.for_each_parameter(f);
    m_v.for_each_parameter(f);
    m_out.for_each_parameter(f);
  }

private:
  using Projection = layers::Linear<ExecutionSpace, T>;

  static AggregationConfig checked(std::string const& name, AggregationConfig const& config) {
    require(config.heads > 0 && config.width % config.heads == 0, "CrossAttention: '", name,
            "' has width D = ", config.width, ", expected a multiple of its heads h = ", config.heads);
    return config;
  }
  typename Projection::Config projection(bool bias, Placement placement) const {
    return {.inputs = m_config.width, .outputs = m_config.width, .bias = bias, .placement = placement};
  }
  static Tensor<ExecutionSpace, T, 2> row(Tensor<ExecutionSpace, T, 1> const& query) {
    return reshape<2>(query, {1, query.extent(0)});
  }

  AggregationConfig m_config;
  Parameter<ExecutionSpace, T> m_query;
  Projection m_q, m_k, m_v, m_out;
};

/// The paper's -C: an aggregation by cross-attention, as a level of a tree.
struct CrossAttention {
  template <class ExecutionSpace, class T>
  using Module = CrossAttentionModule<ExecutionSpace, T>;
};

} // namespace dchag
