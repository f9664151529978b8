// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/layers/unit.hpp>
#include <dchag/models/position_embedding.hpp>

#include <vector>

namespace dchag {

/// Sizes of a transformer encoder.
struct EncoderConfig {
  Grid grid;         ///< patch positions of a whole image
  std::size_t width; ///< D
  std::size_t depth; ///< blocks
  std::size_t heads; ///< h
  std::size_t mlp_ratio = 4;
  bool recompute = false; ///< make what happened inside a block again in the backward pass instead of keeping it
};

/// A ViT encoder: position embedding, pre-norm blocks, each a unit, norm.
///
/// With `recompute` only what enters each block is kept: one block's activations instead of those of all, for one more
/// forward pass through all blocks but the last (activation checkpointing; Chen et al. 2016).
///
/// Shapes: x, y (B, tokens, D); positions (B * tokens), the patch position of each token, since some may be hidden. d_x
/// may be d_y. Source: Dosovitskiy et al. 2021; the paper, section 2.
template <KokkosExecutionSpace ExecutionSpace, Scalar T>
class Encoder {
  using Block = layers::EncoderBlock<ExecutionSpace, T>;

public:
  using value_type = T;

  struct Context {
    std::vector<Tensor<ExecutionSpace, T, 3>> states;    // what enters each block, and the norm: (B, tokens, D)
    mutable std::vector<typename Block::Context> blocks; // one for all, which the backward pass fills again: recompute
    typename layers::LayerNorm<ExecutionSpace, T>::Context norm;
  };

  Encoder(ExecutionSpace const& exec, std::string const& name, EncoderConfig const& config, std::uint64_t seed)
      : m_recompute(config.recompute), m_embedding(exec, name + ".position", config.grid, config.width),
        m_units(config.depth), m_norm(exec, name + ".norm", config.width) {
    for (std::size_t i = 0; i < config.depth; ++i)
      m_blocks.emplace_back(exec, name + ".block" + std::to_string(i),
                            typename Block::Config{config.width, config.heads, config.mlp_ratio}, seed);
  }

  template <TensorView<3> X, TensorView<1> Positions, TensorView<3> Y>
  void forward(Workspace<ExecutionSpace>& workspace, Context& context, X const& x, Positions const& positions,
               Y const& y) const {
    context.states.resize(m_blocks.size() + 1);
    context.blocks.resize(m_recompute ? 1 : m_blocks.size());
    for (auto& state : context.states) reserve(workspace.exec(), state, "dchag::models::encoder_state", extents_of(x));
    m_embedding.forward(workspace.exec(), x, positions, context.states[0]);
    for (std::size_t i = 0; i < m_blocks.size(); ++i) {
      auto const use = m_units[i].in_forward();
      m_blocks[i].forward(workspace, block_context(context, i), context.states[i], context.states[i + 1]);
    }
    m_norm.forward(workspace, context.norm, context.states.back(), y);
  }

  template <TensorView<1> Positions, TensorView<3> DY, TensorView<3> DX>
  void backward(Workspace<ExecutionSpace>& workspace, Context const& context, Positions const& positions, DY const& d_y,
                DX const& d_x) const {
    m_norm.backward(workspace, context.norm, context.states.back(), d_y, d_x);
    for (std::size_t i = m_blocks.size(); i-- > 0;) {
      auto const use = m_units[i].in_backward();
      if (m_recompute && i + 1 < m_blocks.size()) {
        auto frame = workspace.frame();
        auto const again = frame.template take<T, 3>(extents_of(context.states[i]));
        m_blocks[i].forward(workspace, block_context(context, i), context.states[i], again);
      }
      m_blocks[i].backward(workspace, block_context(context, i), context.states[i], d_x, d_x);
    }
    m_embedding.backward(workspace.exec(), positions, d_x);
  }

  template <class F>
  void for_each_parameter(F const& f) {
    m_embedding.for_each_parameter(f);
    for (auto& block : m_blocks) block.for_each_parameter(f);
    m_norm.for_each_parameter(f);
  }

  template <class F>
  void for_each_unit(F const& f) {
    for (std::size_t i = 0; i < m_blocks.size(); ++i) f(m_units[i], m_blocks[i]);
  }

private:
  typename Block::Context& block_context(Context const& context, std::size_t i) const {
    return context.blocks[m_recompute ? 0 : i];
  }

  bool m_recompute;
  PositionEmbedding<ExecutionSpace, T> m_embedding;
  std::vector<Block> m_blocks;
  std::vector<Unit> m_units; // of the blocks
  layers::LayerNorm<ExecutionSpace, T> m_norm;
};

} // namespace dchag
