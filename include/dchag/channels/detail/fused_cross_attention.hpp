// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/channels/detail/cross_attention_parameters.hpp>
#include <dchag/ops/absorbed_pooling.hpp>
#include <dchag/ops/fused_pooling.hpp>
#include <dchag/ops/rows.hpp>

namespace dchag::detail {

/// The cross-attention without keys and values, of tokens that are stored or not even made.
///
/// Steps: absorb the query into W_k (r[h] = W_k[h]^T q[h] / sqrt(d), where the keys' bias cancels in the softmax),
/// pool, add the values' bias, project. Tokens that are made on the way are made of `Token`. The steps are members of
/// their own, because ranks that share the channels exchange what they pooled in between. V: features of the heads, D
/// unless ranks share the heads.
template <KokkosExecutionSpace ExecutionSpace, Scalar T, class Token = T>
class FusedCrossAttention : public CrossAttentionParameters<ExecutionSpace, T> {
  static_assert(std::is_same_v<Token, T> || std::is_same_v<T, float>, "FusedBfloat16: the weights and sums are float");
  using Parameters = CrossAttentionParameters<ExecutionSpace, T>;
  using Parameters::m_config, Parameters::m_k, Parameters::m_out;
  using Matrix = Tensor<ExecutionSpace, T, 2>;

public:
  struct Context {
    Matrix query;                          // (1, V), projected
    Matrix absorbed;                       // (h, D), r
    ops::Pooled<ExecutionSpace, T> pooled; // (N, V), (N, h), (N, h)
    Tensor<ExecutionSpace, T, 3> folded;   // (M, s + 1, V), only while frozen
    ops::PoolingPlan plan = {};            // of the last forward, where tokens are not stored
  };

  using Parameters::Parameters;

  template <class Tokens, class Index>
  void forward(Workspace<ExecutionSpace>& workspace, Context& context, Tokens const& tokens, Index const& /*members*/,
               Matrix const& y) const {
    absorb(workspace, context);
    pool(workspace, context, tokens, y.extent(0));
    project(workspace, context, y);
  }

  template <class Tokens, class Index, class DTokens>
  void backward(Workspace<ExecutionSpace>& workspace, Context const& context, Tokens const& tokens,
                Index const& /*members*/, Matrix const& d_y, Range wanted, DTokens const& d_tokens) const {
    auto frame = workspace.frame();
    auto const d_o = frame.template take<T, 2>(extents_of(context.pooled.o));
    auto const delta = frame.template take<T, 2>(extents_of(context.pooled.sum));
    auto const d_absorbed = frame.template take<T, 2>(extents_of(context.absorbed));
    project_backward(workspace, context, d_y, d_o, delta);
    pool_backward(workspace, context, tokens, d_o, delta, d_absorbed, m_v.weight_gradient(), wanted, d_tokens);
    absorb_backward(workspace, context, d_absorbed);
  }

  /// Folds the values of these tokens into their pixels: `forward` then uses the values as they are now, until the
  /// context is planned anew.
  template <class Source>
  void freeze(Workspace<ExecutionSpace>& workspace, Context& context,
              ChannelTokens<ExecutionSpace, T, Source> const& tokens) const {
    reserve(workspace.exec(), context.folded, "dchag::channels::folded_values",
            Extents<3>{tokens.weights.tokens(), tokens.weights.pixels() + 1, this->width()});
    absorb(workspace, context);
    ops::fold_values(workspace, weights(context, tokens), context.folded);
  }

protected:
  using Parameters::m_v;

  void absorb(Workspace<ExecutionSpace>& workspace, Context& context) const {
    std::size_t const h = this->heads();
    std::size_t const D = m_config.width;
    reserve(workspace.exec(), context.absorbed, "dchag::channels::absorbed_query", Extents<2>{h, D});
    this->project_query(workspace, context.query);
    ops::gemm(workspace.exec(), ops::Op::none, ops::Op::none, scale(), query_heads(context.query),
              key_heads(m_k.weight()), T(0), reshape<3>(context.absorbed, {h, 1, D}));
  }

  /// Adds to the gradients of W_k, W_q, its bias and the query.
  void absorb_backward(Workspace<ExecutionSpace>& workspace, Context const& context, Matrix const& d_absorbed) const {
    using ops::Op;
    auto frame = workspace.frame();
    auto const d_query = frame.template take<T, 2>({1, this->width()});
    auto const d_r = reshape<3>(d_absorbed, {this->heads(), 1, m_config.width});
    ops::gemm(workspace.exec(), Op::transpose, Op::none, scale(), query_heads(context.query), d_r, T(1),
              key_heads(m_k.weight_gradient()));
    ops::gemm(workspace.exec(), Op::none, Op::transpose, scale(), d_r, key_heads(m_k.weight()), T(0),
              query_heads(d_query));
    this->project_query_backward(workspace, d_query);
  }

  /// Makes context.pooled for N positions.
  template <class Tokens>
  void pool(Workspace<ExecutionSpace>& workspace, Context& context, Tokens const& tokens, std::size_t N) const {
    reserve_pooled(workspace.exec(), context, N);
    if constexpr (Kokkos::is_view<Tokens>::value)
      ops::absorbed_pooling_forward(workspace, tokens, context.absorbed, m_v.weight(), context.pooled);
    else
      context.plan = ops::fused_pooling_forward<Token>(workspace, m_config.pooling, tokens.patches,
                                                       weights(context, tokens), context.pooled, context.folded);
  }
  void reserve_pooled(ExecutionSpace const& exec, Context& context, std::size_t N) const {
    reserve(exec, context.pooled.o, "dchag::channels::pooled", Extents<2>{N, this->width()});
    reserve(exec, context.pooled.maximum, "dchag::channels::softmax_maximum", Extents<2>{N, this->heads()});
    reserve(exec, context.pooled.sum, "dchag::channels::softmax_sum", Extents<2>{N, this->heads()});
  }

  /// d_absorbed is overwritten, d_value added to; d_tokens as in `AggregationModule`.
  template <class Tokens, class DTokens>
  void pool_backward(Workspace<ExecutionSpace>& workspace, Context const& context, Tokens const& tokens,
                     Matrix const& d_o, Matrix const& delta, Matrix const& d_absorbed, Matrix const& d_value,
                     Range wanted, DTokens const& d_tokens) const {
    if constexpr (Kokkos::is_view<Tokens>::value)
      ops::absorbed_pooling_backward(workspace, tokens, context.absorbed, m_v.weight(), context.pooled, d_o, delta,
                                     d_absorbed, d_value, wanted.begin, wanted.end, d_tokens);
    else
      ops::fused_pooling_backward<Token>(workspace, m_config.pooling, tokens.patches, weights(context, tokens),
                                         context.pooled, d_o, delta, {d_tokens.weights, d_absorbed, d_value},
                                         d_tokens.patches);
  }

  /// y = W_o (o + b_v) + b_o
  void project(Workspace<ExecutionSpace>& workspace, Context const& context, Matrix const& y) const {
    auto frame = workspace.frame();
    NoContext none;
    m_out.forward(workspace, none, biased(workspace.exec(), frame, context.pooled.o), y);
  }

  /// d_o (N, V) and delta (N, h), the products of d_o and o summed over each head's features, are overwritten.
  void project_backward(Workspace<ExecutionSpace>& workspace, Context const& context, Matrix const& d_y,
                        Matrix const& d_o, Matrix const& delta) const {
    auto const& exec = workspace.exec();
    auto frame = workspace.frame();
    m_out.backward(workspace, NoContext(), biased(exec, frame, context.pooled.o), d_y, d_o);
    ops::products_of_heads(exec, d_o, context.pooled.o, delta);
    if (m_v.has_bias()) ops::add_column_sums(exec, d_o, m_v.bias_gradient());
  }

private:
  // the projected query (1, V) as (h, 1, d), W_k (V, D) as (h, d, D)
  Tensor<ExecutionSpace, T, 3> query_heads(Matrix const& query) const {
    return reshape<3>(query, {this->heads(), 1, this->width() / this->heads()});
  }
  Tensor<ExecutionSpace, T, 3> key_heads(Matrix const& weight) const {
    return reshape<3>(weight, {this->heads(), this->width() / this->heads(), m_config.width});
  }

  T scale() const { return T(1) / std::sqrt(static_cast<T>(this->width() / this->heads())); }

  template <class Source>
  ops::PoolingWeights<ExecutionSpace, T> weights(Context const& context,
                                                 ChannelTokens<ExecutionSpace, T, Source> const& tokens) const {
    return {tokens.weights, context.absorbed, m_v.weight()};
  }

  template <class Frame>
  Matrix biased(ExecutionSpace const& exec, Frame& frame, Matrix const& o) const {
    if (!m_v.has_bias()) return o;
    auto const sum = frame.template take<T, 2>(extents_of(o));
    Kokkos::deep_copy(exec, sum, o);
    ops::add_bias(exec, m_v.bias(), sum);
    return sum;
  }
};

} // namespace dchag::detail
