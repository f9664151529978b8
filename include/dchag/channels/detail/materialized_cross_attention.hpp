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
  using Parameters::m_k, Parameters::m_v, Parameters::m_out;

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
    auto const& exec = workspace.exec();
    std::size_t const M = tokens.extent(0);
    std::size_t const N = tokens.extent(1);
    std::size_t const D = this->width();
    reserve(exec, context.keys, "dchag::channels::keys", Extents<3>{M, N, D});
    reserve(exec, context.values, "dchag::channels::values", Extents<3>{M, N, D});
    reserve(exec, context.weights, "dchag::channels::attention", Extents<3>{N, this->heads(), M});
    reserve(exec, context.pooled, "dchag::channels::pooled", Extents<2>{N, D});
    this->project_query(workspace, context.query);
    NoContext none;
    m_k.forward(workspace, none, tokens, context.keys);
    m_v.forward(workspace, none, tokens, context.values);
    ops::attention_pooling_forward(exec, this->heads(), reshape<1>(context.query, {D}), context.keys, context.values,
                                   context.weights, context.pooled);
    m_out.forward(workspace, none, context.pooled, y);
  }

  template <class Index, GradientView<3> DTokens>
  void backward(Workspace<ExecutionSpace>& workspace, Context const& context,
                Tensor<ExecutionSpace, T, 3> const& tokens, Index const& /*members*/,
                Tensor<ExecutionSpace, T, 2> const& d_y, Range wanted, DTokens const& d_tokens) const {
    using ops::Op;
    auto const& exec = workspace.exec();
    std::size_t const M = tokens.extent(0);
    std::size_t const N = tokens.extent(1);
    std::size_t const D = this->width();
    auto frame = workspace.frame();
    auto const d_pooled = frame.template take<T, 2>({N, D});
    auto const d_keys = frame.template take<T, 3>({M, N, D});
    auto const d_values = frame.template take<T, 3>({M, N, D});
    auto const delta = frame.template take<T, 2>({N, this->heads()});
    auto const d_query_rows = frame.template take<T, 2>({N, D});
    auto const d_query = frame.template take<T, 2>({1, D}); // of the projected query
    NoContext const none;
    m_out.backward(workspace, none, context.pooled, d_y, d_pooled);
    ops::attention_pooling_backward(exec, this->heads(), reshape<1>(context.query, {D}), context.keys, context.values,
                                    context.weights, context.pooled, d_pooled, delta, d_keys, d_values, d_query_rows);
    Kokkos::deep_copy(exec, d_query, T(0));
    ops::add_column_sums(exec, d_query_rows, reshape<1>(d_query, {D}));
    this->project_query_backward(workspace, d_query);
    m_k.backward(workspace, none, tokens, d_keys, no_gradient);
    m_v.backward(workspace, none, tokens, d_values, no_gradient);
    if constexpr (is_wanted<DTokens>) {
      require_shape("CrossAttention::backward", "d_tokens", d_tokens, {wanted.size(), N, tokens.extent(2)});
      auto const part = [&](auto const& all) { return rows(slices(all, wanted.begin, wanted.end)); };
      ops::gemm(exec, Op::none, Op::none, T(1), part(d_keys), m_k.weight(), T(0), rows(d_tokens));
      ops::gemm(exec, Op::none, Op::none, T(1), part(d_values), m_v.weight(), T(1), rows(d_tokens));
    }
  }
};

} // namespace dchag::detail
