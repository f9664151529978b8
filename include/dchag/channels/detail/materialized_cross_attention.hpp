// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/channels/detail/cross_attention_parameters.hpp>
#include <dchag/ops/attention_pooling.hpp>

namespace dchag::detail {

/// The cross-attention with keys and values stored: the reference and the paper's baseline.
template <KokkosExecutionSpace ExecutionSpace, Scalar T>
class MaterializedCrossAttention : public CrossAttentionParameters<ExecutionSpace, T> {
  using Parameters = CrossAttentionParameters<ExecutionSpace, T>;

public:
  struct Context {
    Tensor<ExecutionSpace, T, 3> keys;    // (M, N, D)
    Tensor<ExecutionSpace, T, 3> values;  // (M, N, D)
    Tensor<ExecutionSpace, T, 3> weights; // (N, h, M)
    Tensor<ExecutionSpace, T, 2> pooled;  // (N, D)
    Tensor<ExecutionSpace, T, 2> query;   // (1, D), projected
  };

  using Parameters::Parameters;

  template <class Index>
  void forward(Workspace<ExecutionSpace>& workspace, Context& context, Tensor<ExecutionSpace, T, 3> const& tokens,
               Index const& /*members*/, Tensor<ExecutionSpace, T, 2> const& y) const {
    this->project_query(workspace, context.query);
    pool(workspace, context, tokens, ops::NoStatistics());
    NoContext none;
    m_out.forward(workspace, none, context.pooled, y);
  }

  template <class Index, GradientView<3> DTokens>
  void backward(Workspace<ExecutionSpace>& workspace, Context const& context,
                Tensor<ExecutionSpace, T, 3> const& tokens, Index const& /*members*/,
                Tensor<ExecutionSpace, T, 2> const& d_y, Range wanted, DTokens const& d_tokens) const {
    auto frame = workspace.frame();
    auto const d_pooled = frame.template take<T, 2>(extents_of(context.pooled));
    auto const d_keys = frame.template take<T, 3>(extents_of(context.keys));
    auto const d_values = frame.template take<T, 3>(extents_of(context.values));
    auto const d_query = frame.template take<T, 2>(extents_of(context.query)); // of the projected query
    NoContext const none;
    m_out.backward(workspace, none, context.pooled, d_y, d_pooled);
    pool_backward(workspace, context, d_pooled, d_keys, d_values, d_query);
    this->project_query_backward(workspace, d_query);
    m_k.backward(workspace, none, tokens, d_keys, no_gradient);
    m_v.backward(workspace, none, tokens, d_values, no_gradient);
    token_gradients(workspace.exec(), d_keys, d_values, wanted, d_tokens);
  }

protected:
  using Parameters::m_k, Parameters::m_v, Parameters::m_out;
  using Numbers = Tensor<ExecutionSpace, T, 3>;
  using Matrix = Tensor<ExecutionSpace, T, 2>;

  /// Makes keys, values, weights and context.pooled, from the projected query.
  template <class Statistics>
  void pool(Workspace<ExecutionSpace>& workspace, Context& context, Numbers const& tokens,
            Statistics const& statistics) const {
    auto const& exec = workspace.exec();
    std::size_t const M = tokens.extent(0);
    std::size_t const N = tokens.extent(1);
    std::size_t const D = this->width();
    reserve(exec, context.keys, "dchag::channels::keys", Extents<3>{M, N, D});
    reserve(exec, context.values, "dchag::channels::values", Extents<3>{M, N, D});
    reserve(exec, context.weights, "dchag::channels::attention", Extents<3>{N, this->heads(), M});
    reserve(exec, context.pooled, "dchag::channels::pooled", Extents<2>{N, D});
    NoContext none;
    m_k.forward(workspace, none, tokens, context.keys);
    m_v.forward(workspace, none, tokens, context.values);
    ops::attention_pooling_forward(exec, this->heads(), reshape<1>(context.query, {D}), context.keys, context.values,
                                   context.weights, context.pooled, statistics);
  }

  /// d_keys, d_values and d_query, of the projected query, are overwritten.
  void pool_backward(Workspace<ExecutionSpace>& workspace, Context const& context, Matrix const& d_pooled,
                     Numbers const& d_keys, Numbers const& d_values, Matrix const& d_query) const {
    auto const& exec = workspace.exec();
    std::size_t const D = this->width();
    auto frame = workspace.frame();
    auto const delta = frame.template take<T, 2>({d_pooled.extent(0), this->heads()});
    auto const d_query_rows = frame.template take<T, 2>(extents_of(d_pooled));
    ops::attention_pooling_backward(exec, this->heads(), reshape<1>(context.query, {D}), context.keys, context.values,
                                    context.weights, context.pooled, d_pooled, delta, d_keys, d_values, d_query_rows);
    Kokkos::deep_copy(exec, d_query, T(0));
    ops::add_column_sums(exec, d_query_rows, reshape<1>(d_query, {D}));
  }

  /// Those of the tokens in the range `wanted`, where they are.
  template <GradientView<3> DTokens>
  void token_gradients(ExecutionSpace const& exec, Numbers const& d_keys, Numbers const& d_values, Range wanted,
                       DTokens const& d_tokens) const {
    using ops::Op;
    if constexpr (is_wanted<DTokens>) {
      require_shape("CrossAttention::backward", "d_tokens", d_tokens,
                    {wanted.size(), d_keys.extent(1), m_k.weight().extent(1)});
      auto const part = [&](auto const& all) { return rows(slices(all, wanted.begin, wanted.end)); };
      ops::gemm(exec, Op::none, Op::none, T(1), part(d_keys), m_k.weight(), T(0), rows(d_tokens));
      ops::gemm(exec, Op::none, Op::none, T(1), part(d_values), m_v.weight(), T(1), rows(d_tokens));
    }
  }
};

} // namespace dchag::detail
