// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/layers/dropout.hpp>
#include <dchag/layers/layer_norm.hpp>
#include <dchag/layers/mlp.hpp>
#include <dchag/layers/self_attention.hpp>

namespace dchag::layers {

/// A pre-norm transformer block: m = x + dropout(attention(norm_1(x))),  y = m + dropout(mlp(norm_2(m))).
///
/// Shapes: x, y (B, L, width); d_input may be d_output.
/// Source: Dosovitskiy et al. 2021 (ViT).
template <KokkosExecutionSpace ExecutionSpace, Scalar T>
class EncoderBlock {
public:
  using value_type = T;

  struct Config {
    std::size_t width;
    std::size_t heads;
    std::size_t mlp_ratio = 4;
    double dropout = 0;                         ///< share of the numbers of both branches that is dropped in training
    double norm_epsilon = default_norm_epsilon; ///< that both norms add to the variance
  };

  struct Context {
    Tensor<ExecutionSpace, T, 3> normed_1; // (B, L, D) each
    Tensor<ExecutionSpace, T, 3> middle;
    Tensor<ExecutionSpace, T, 3> normed_2;
    typename LayerNorm<ExecutionSpace, T>::Context norm_1, norm_2;
    typename SelfAttention<ExecutionSpace, T>::Context attention;
    typename Mlp<ExecutionSpace, T>::Context mlp;
    DropoutDraw dropout = {}; ///< set before forward
  };

  EncoderBlock(ExecutionSpace const& exec, std::string const& name, Config const& config, std::uint64_t seed)
      : m_norm_1(exec, name + ".norm_1", config.width, false, config.norm_epsilon),
        m_attention(exec, name + ".attention", {.width = config.width, .heads = config.heads}, seed),
        m_norm_2(exec, name + ".norm_2", config.width, false, config.norm_epsilon),
        m_mlp(exec, name + ".mlp",
              {.inputs = config.width, .hidden = config.mlp_ratio * config.width, .outputs = config.width}, seed),
        m_residual_1(name + ".attention.dropout", config.dropout, seed),
        m_residual_2(name + ".mlp.dropout", config.dropout, seed) {}

  template <TensorView<3> X, TensorView<3> Y>
  void forward(Workspace<ExecutionSpace>& workspace, Context& context, X const& x, Y const& y) const {
    auto const& exec = workspace.exec();
    auto const extents = extents_of(x);
    std::size_t const first_row = context.dropout.first_sample * x.extent(1);
    reserve(exec, context.normed_1, "dchag::layers::block_normed_1", extents);
    reserve(exec, context.middle, "dchag::layers::block_middle", extents);
    reserve(exec, context.normed_2, "dchag::layers::block_normed_2", extents);
    m_norm_1.forward(workspace, context.norm_1, x, context.normed_1);
    m_attention.forward(workspace, context.attention, context.normed_1, context.middle);
    m_residual_1.forward(exec, context.dropout, first_row, rows(x), rows(context.middle), rows(context.middle));
    m_norm_2.forward(workspace, context.norm_2, context.middle, context.normed_2);
    m_mlp.forward(workspace, context.mlp, context.normed_2, y);
    m_residual_2.forward(exec, context.dropout, first_row, rows(context.middle), rows(y), rows(y));
  }

  template <TensorView<3> X, TensorView<3> DY, GradientView<3> DX>
  void backward(Workspace<ExecutionSpace>& workspace, Context const& context, X const& x, DY const& d_y,
                DX const& d_x) const {
    auto const& exec = workspace.exec();
    auto frame = workspace.frame();
    auto const d_branch = frame.template take<T, 3>(extents_of(x)); // gradient through the norm and what follows it
    auto const d_middle = frame.template take<T, 3>(extents_of(x));
    std::size_t const first_row = context.dropout.first_sample * x.extent(1);
    m_mlp.backward(workspace, context.mlp, context.normed_2,
                   m_residual_2.backward(exec, frame, context.dropout, first_row, rows(d_y)), d_branch);
    m_norm_2.backward(workspace, context.norm_2, context.middle, d_branch, d_branch);
    ops::add(exec, rows(d_y), rows(d_branch), rows(d_middle));
    auto const d_attention = m_residual_1.backward(exec, frame, context.dropout, first_row, rows(d_middle));
    m_attention.backward(workspace, context.attention, context.normed_1, reshape<3>(d_attention, extents_of(x)),
                         d_branch);
    m_norm_1.backward(workspace, context.norm_1, x, d_branch, d_branch);
    if constexpr (is_wanted<DX>) ops::add(exec, rows(d_middle), rows(d_branch), rows(d_x));
  }

  template <class F>
  void for_each_parameter(F const& f) {
    m_norm_1.for_each_parameter(f);
    m_attention.for_each_parameter(f);
    m_norm_2.for_each_parameter(f);
    m_mlp.for_each_parameter(f);
  }

private:
  LayerNorm<ExecutionSpace, T> m_norm_1;
  SelfAttention<ExecutionSpace, T> m_attention;
  LayerNorm<ExecutionSpace, T> m_norm_2;
  Mlp<ExecutionSpace, T> m_mlp;
  Residual m_residual_1, m_residual_2;
};

} // namespace dchag::layers
