// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/channels/aggregation.hpp>
#include <dchag/layers/linear.hpp>

namespace dchag::detail {

/// What a cross-attention learns, whatever form it is computed in. Where ranks share its heads, the rows of W_q, W_k
/// and W_v and the columns of W_o that belong to this rank's, without the bias of the output.
template <KokkosExecutionSpace ExecutionSpace, Scalar T>
class CrossAttentionParameters {
public:
  using value_type = T;

  /// The number of inputs, the largest M, is of no consequence here: no parameter belongs to an input.
  CrossAttentionParameters(ExecutionSpace const& exec, std::string const& name, std::size_t /*inputs*/,
                           AggregationConfig const& config, Placement placement, std::uint64_t seed)
      : m_config(checked(name, config)), m_query(exec,
                                                 {.name = name + ".query",
                                                  .shape = {config.width},
                                                  .placement = placement,
                                                  .partial_gradient = heads() < config.heads},
                                                 initial::constant(0)),
        m_q(exec, name + ".q", projection(config.projection_bias, placement, layers::Cut::Axis::outputs), seed),
        m_k(exec, name + ".k", projection(config.projection_bias, placement, layers::Cut::Axis::outputs), seed),
        m_v(exec, name + ".v", projection(config.projection_bias, placement, layers::Cut::Axis::outputs), seed),
        m_out(exec, name + ".out", projection(!shares_heads(), placement, layers::Cut::Axis::inputs), seed) {}

  template <class F>
  void for_each_parameter(F const& f) {
    f(m_query);
    m_q.for_each_parameter(f);
    m_k.for_each_parameter(f);
    m_v.for_each_parameter(f);
    m_out.for_each_parameter(f);
  }

protected:
  using Projection = layers::Linear<ExecutionSpace, T>;
  using Matrix = Tensor<ExecutionSpace, T, 2>;

  /// Heads of this rank, and their features.
  std::size_t heads() const { return shares_heads() ? m_config.own_heads.size() : m_config.heads; }
  std::size_t width() const { return m_config.width / m_config.heads * heads(); }

  static Matrix row(Tensor<ExecutionSpace, T, 1> const& query) { return reshape<2>(query, {1, query.extent(0)}); }

  /// The projected query (1, D), the same for all positions.
  void project_query(Workspace<ExecutionSpace>& workspace, Matrix& query) const {
    reserve(workspace.exec(), query, "dchag::channels::query", Extents<2>{1, width()});
    NoContext none;
    m_q.forward(workspace, none, row(m_query.values()), query);
  }
  // the query is a parameter: its gradient is added to, where a layer overwrites the gradient of its input
  void project_query_backward(Workspace<ExecutionSpace>& workspace, Matrix const& d_query) const {
    m_q.backward(workspace, NoContext(), row(m_query.values()), d_query, no_gradient);
    ops::gemm(workspace.exec(), ops::Op::none, ops::Op::none, T(1), d_query, m_q.weight(), T(1),
              row(m_query.gradients()));
  }

private:
  static AggregationConfig checked(std::string const& name, AggregationConfig const& config) {
    require(config.heads > 0 && config.width % config.heads == 0, "CrossAttention: '", name,
            "' has width D = ", config.width, ", expected a multiple of its heads h = ", config.heads);
    return config;
  }
  bool shares_heads() const { return m_config.own_heads.size() > 0; }
  typename Projection::Config projection(bool bias, Placement placement, layers::Cut::Axis axis) const {
    std::size_t const d = m_config.width / m_config.heads;
    Range const own = m_config.own_heads;
    layers::Cut const cut{.axis = axis, .range = {own.begin * d, own.end * d}};
    return {.inputs = m_config.width,
            .outputs = m_config.width,
            .bias = bias,
            .placement = placement,
            .cut = shares_heads() ? cut : layers::Cut()};
  }

protected:
  AggregationConfig m_config;
  Parameter<ExecutionSpace, T> m_query;
  Projection m_q, m_k, m_v, m_out;
};

} // namespace dchag::detail
