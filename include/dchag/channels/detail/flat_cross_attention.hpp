// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/channels/cross_attention.hpp>
#include <dchag/channels/detail/merge_softmax.hpp>

namespace dchag::detail {

/// One cross-attention over tokens that ranks share: each pools its own, and what was pooled merges.
///
/// `forward(workspace, communicator, context, any, make, y)`: `make()` gives this rank's tokens, if there are `any`.
/// `backward(workspace, communicator, context, d_y, with_tokens)`: `with_tokens(f)` calls f(tokens, d_tokens), if there
/// are any. Collective: `forward`: two all-reduces (see `merge_softmax`); `backward`: one, of the gradients of what all
/// ranks share and only the tokens tell: D^2 + h D numbers fused, 2 D^2 + D materialized and 2 D more with biases.
/// Shapes: tokens (c, N, D), stored or unmade as the form says, d_tokens like them; y, d_y (N, D), the same on every
/// rank. Throws: ShapeError. Source: own, docs/fused.md section 5.
template <KokkosExecutionSpace ExecutionSpace, Scalar T, AggregationForm Form>
class FlatCrossAttention : public FusedCrossAttention<ExecutionSpace, T, TokenType<Form, T>> {
  using Base = FusedCrossAttention<ExecutionSpace, T, TokenType<Form, T>>;
  using Matrix = Tensor<ExecutionSpace, T, 2>;

public:
  using Base::Base;
  using typename Base::Context;

  template <class MakeTokens>
  void forward(Workspace<ExecutionSpace>& workspace, comm::Communicator const& communicator, Context& context, bool any,
               MakeTokens const& make, Matrix const& y) const {
    std::size_t const N = y.extent(0);
    this->absorb(workspace, context);
    if (any) {
      this->pool(workspace, context, make(), N);
    } else {
      this->reserve_pooled(workspace.exec(), context, N);
      pool_nothing(workspace.exec(), context.pooled);
    }
    merge_softmax(workspace, communicator, context.pooled);
    this->project(workspace, context, y);
  }

  template <class WithTokens>
  void backward(Workspace<ExecutionSpace>& workspace, comm::Communicator const& communicator, Context const& context,
                Matrix const& d_y, WithTokens const& with_tokens) const {
    auto const& exec = workspace.exec();
    std::size_t const D = this->width();
    std::size_t const h = this->heads();
    auto frame = workspace.frame();
    auto const d_o = frame.template take<T, 2>(extents_of(context.pooled.o));
    auto const delta = frame.template take<T, 2>(extents_of(context.pooled.sum));
    auto const d_shared = frame.template take<T, 2>({D + h, D}); // of W_v, then of the absorbed query
    Matrix const d_value(d_shared.data(), D, D);
    Matrix const d_absorbed(d_shared.data() + D * D, h, D);
    Kokkos::deep_copy(exec, d_shared, T(0));
    this->project_backward(workspace, context, d_y, d_o, delta);
    with_tokens([&](auto const& tokens, auto const& d_tokens) {
      this->pool_backward(workspace, context, tokens, d_o, delta, d_absorbed, d_value, {}, d_tokens);
    });
    comm::all_reduce(exec, communicator, d_shared, comm::Reduce::sum);
    ops::add(exec, this->m_v.weight_gradient(), d_value, this->m_v.weight_gradient());
    this->absorb_backward(workspace, context, d_absorbed);
  }
};

template <KokkosExecutionSpace ExecutionSpace, Scalar T>
class FlatCrossAttention<ExecutionSpace, T, Materialized> : public MaterializedCrossAttention<ExecutionSpace, T> {
  using Base = MaterializedCrossAttention<ExecutionSpace, T>;
  using Base::m_k, Base::m_v, Base::m_out;
  using Matrix = Tensor<ExecutionSpace, T, 2>;

public:
  struct Context : Base::Context {
    Matrix maximum, sum; // (N, h), of the logits of all ranks
  };

  using Base::Base;

  template <class MakeTokens>
  void forward(Workspace<ExecutionSpace>& workspace, comm::Communicator const& communicator, Context& context, bool any,
               MakeTokens const& make, Matrix const& y) const {
    auto const& exec = workspace.exec();
    std::size_t const N = y.extent(0);
    std::size_t const h = this->heads();
    reserve(exec, context.maximum, "dchag::channels::softmax_maximum", Extents<2>{N, h});
    reserve(exec, context.sum, "dchag::channels::softmax_sum", Extents<2>{N, h});
    this->project_query(workspace, context.query);
    if (any) {
      this->pool(workspace, context, make(), ops::SoftmaxStatistics<Matrix>{context.maximum, context.sum});
    } else {
      reserve(exec, context.pooled, "dchag::channels::pooled", Extents<2>{N, this->width()});
      pool_nothing(exec, pooled(context));
    }
    merge(workspace, communicator, context, any);
    NoContext none;
    m_out.forward(workspace, none, context.pooled, y);
  }

  template <class WithTokens>
  void backward(Workspace<ExecutionSpace>& workspace, comm::Communicator const& communicator, Context const& context,
                Matrix const& d_y, WithTokens const& with_tokens) const {
    auto const& exec = workspace.exec();
    std::size_t const D = this->width();
    auto frame = workspace.frame();
    auto const d_pooled = frame.template take<T, 2>(extents_of(context.pooled));
    bool const biased = m_k.has_bias();
    auto const d_shared = frame.template take<T, 2>({2 * D + (biased ? 3 : 1), D});
    auto const part = [&](std::size_t begin, std::size_t end) {
      return Matrix(d_shared.data() + begin * D, end - begin, D);
    };
    auto const row = [&](std::size_t index) { return Tensor<ExecutionSpace, T, 1>(d_shared.data() + index * D, D); };
    Matrix const d_key_weight = part(0, D), d_value_weight = part(D, 2 * D), d_query = part(2 * D, 2 * D + 1);
    std::size_t const key_bias_row = 2 * D + 1, value_bias_row = 2 * D + 2;
    Kokkos::deep_copy(exec, d_shared, T(0));
    m_out.backward(workspace, NoContext(), context.pooled, d_y, d_pooled);
    with_tokens([&](auto const& tokens, auto const& d_tokens) {
      auto keys_and_values = workspace.frame();
      auto const d_keys = keys_and_values.template take<T, 3>(extents_of(context.keys));
      auto const d_values = keys_and_values.template take<T, 3>(extents_of(context.values));
      this->pool_backward(workspace, context, d_pooled, d_keys, d_values, d_query);
      ops::linear_backward(exec, rows(tokens), m_k.weight(), rows(d_keys), d_key_weight, no_gradient);
      ops::linear_backward(exec, rows(tokens), m_v.weight(), rows(d_values), d_value_weight, no_gradient);
      if (biased) {
        ops::add_column_sums(exec, rows(d_keys), row(key_bias_row));
        ops::add_column_sums(exec, rows(d_values), row(value_bias_row));
      }
      this->token_gradients(exec, d_keys, d_values, Range{0, tokens.extent(0)}, d_tokens);
    });
    comm::all_reduce(exec, communicator, d_shared, comm::Reduce::sum);
    ops::add(exec, m_k.weight_gradient(), d_key_weight, m_k.weight_gradient());
    ops::add(exec, m_v.weight_gradient(), d_value_weight, m_v.weight_gradient());
    this->project_query_backward(workspace, d_query);
    if (biased) {
      ops::add_bias(exec, row(key_bias_row), reshape<2>(m_k.bias_gradient(), {1, D}));
      ops::add_bias(exec, row(value_bias_row), reshape<2>(m_v.bias_gradient(), {1, D}));
    }
  }

private:
  static ops::Pooled<ExecutionSpace, T> pooled(Context const& context) {
    return {context.pooled, context.maximum, context.sum};
  }

  // The weights of this rank's tokens among all ranks' follow the merged statistics.
  void merge(Workspace<ExecutionSpace>& workspace, comm::Communicator const& communicator, Context const& context,
             bool any) const {
    if (communicator.size() == 1) return;
    auto const& exec = workspace.exec();
    auto frame = workspace.frame();
    auto const own_maximum = frame.template take<T, 2>(extents_of(context.maximum));
    auto const own_sum = frame.template take<T, 2>(extents_of(context.sum));
    Kokkos::deep_copy(exec, own_sum, context.sum);
    merge_softmax(workspace, communicator, pooled(context), own_maximum);
    if (any) rescale_weights(exec, context.weights, own_maximum, own_sum, context.maximum, context.sum);
  }
};

} // namespace dchag::detail
