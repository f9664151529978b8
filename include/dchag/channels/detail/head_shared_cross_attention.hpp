// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/channels/cross_attention.hpp>
#include <dchag/parallel/tensor_parallel.hpp>

namespace dchag::detail {

/// The cross-attention with its heads shared by ranks that all have the tokens, or can make them: each pools with its
/// own, and their shares of the output are summed. The bias of the output is added once, after the sum.
///
/// Shapes: as `AggregationModule`. The gradients of the tokens, and of the query, are this rank's share of them.
/// Collective: `forward`: one all-reduce of N D numbers; `backward`: nothing.
/// Throws: ShapeError at construction, the same on every rank, unless the ranks divide the heads.
template <KokkosExecutionSpace ExecutionSpace, Scalar T, AggregationForm Form>
class HeadSharedCrossAttention {
  using Module = CrossAttention::Module<ExecutionSpace, T, Form>;

public:
  using value_type = T;
  using Context = typename Module::Context;

  HeadSharedCrossAttention(ExecutionSpace const& exec, comm::Communicator const& tensor, std::string const& name,
                           std::size_t inputs, AggregationConfig const& config, std::uint64_t seed)
      : m_tensor(&tensor), m_module(exec, name, inputs, shared(tensor, name, config), Placement::replicated, seed),
        m_bias(exec, {.name = name + ".out.bias", .shape = {config.width}}, initial::constant(0)) {}

  template <class Tokens, class Index>
  void forward(Workspace<ExecutionSpace>& workspace, Context& context, Tokens const& tokens, Index const& members,
               Tensor<ExecutionSpace, T, 2> const& y) const {
    m_module.forward(workspace, context, tokens, members, y);
    comm::all_reduce(workspace.exec(), *m_tensor, y, comm::Reduce::sum);
    ops::add_bias(workspace.exec(), m_bias.values(), y);
  }

  template <class Tokens, class Index, class DTokens>
  void backward(Workspace<ExecutionSpace>& workspace, Context const& context, Tokens const& tokens,
                Index const& members, Tensor<ExecutionSpace, T, 2> const& d_y, Range wanted,
                DTokens const& d_tokens) const {
    ops::add_column_sums(workspace.exec(), d_y, m_bias.gradients());
    m_module.backward(workspace, context, tokens, members, d_y, wanted, d_tokens);
  }

  /// As `FusedCrossAttention::freeze`.
  template <class Tokens>
  void freeze(Workspace<ExecutionSpace>& workspace, Context& context, Tokens const& tokens) const {
    m_module.freeze(workspace, context, tokens);
  }

  template <class F>
  void for_each_parameter(F const& f) {
    m_module.for_each_parameter(f);
    f(m_bias);
  }

private:
  static AggregationConfig shared(comm::Communicator const& tensor, std::string const& name, AggregationConfig config) {
    config.own_heads = parallel::own_share(tensor, name, "heads", config.heads);
    return config;
  }

  comm::Communicator const* m_tensor;
  Module m_module;
  Parameter<ExecutionSpace, T> m_bias;
};

} // namespace dchag::detail
