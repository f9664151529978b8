// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/comm/agree.hpp>
#include <dchag/core/description.hpp>
#include <dchag/layers/unit.hpp>
#include <dchag/models/position_embedding.hpp>
#include <dchag/parallel/encoder_block.hpp>

#include <vector>

namespace dchag {

/// Sizes of a transformer encoder.
struct EncoderConfig {
  Grid grid;         ///< patch positions of a whole image
  std::size_t width; ///< D
  std::size_t depth; ///< blocks
  std::size_t heads; ///< h
  std::size_t mlp_ratio = 4;
  double dropout = 0;     ///< share of each residual branch that is dropped in training
  bool recompute = false; ///< make what happened inside a block again in the backward pass instead of keeping it
  double norm_epsilon = layers::default_norm_epsilon; ///< that all layer norms add to the variance
};

/// Every rank computes all of an encoder, and sends nothing.
struct Replicated {
  static constexpr bool cuts_rows = false;
};

/// How the ranks of an encoder share it: not, by heads and features, or by positions too.
template <class Form>
concept EncoderForm = std::same_as<Form, Replicated> || parallel::TensorParallelForm<Form>;

namespace detail {
template <class ExecutionSpace, class T, class Form>
struct EncoderBlockOf {
  using type = parallel::EncoderBlock<ExecutionSpace, T, Form>;
};
template <class ExecutionSpace, class T>
struct EncoderBlockOf<ExecutionSpace, T, Replicated> {
  using type = layers::EncoderBlock<ExecutionSpace, T>;
};
} // namespace detail

/// A ViT encoder: position embedding, pre-norm blocks, each a unit, norm.
///
/// With `recompute` only what enters each block is kept: one block's activations instead of those of all, for one more
/// forward pass through all blocks but the last (activation checkpointing; Chen et al. 2016). A second backward pass
/// makes the last again too.
///
/// Shapes: x, y (B, tokens, D), the same on every rank; positions (B * tokens), the patch position of each token, since
/// some may be hidden. d_x may be d_y.
/// Collective: construction (one all-reduce of 16 bytes, unless `Replicated`); in each block what `Form` says, once
/// more forward for those made again; with `SequenceParallel` the end of the forward and of the backward pass are an
/// all-gather of the rows each. Source: Dosovitskiy et al. 2021; the paper, section 2.
template <KokkosExecutionSpace ExecutionSpace, Scalar T, EncoderForm Form = Replicated>
class Encoder {
  using Block = typename detail::EncoderBlockOf<ExecutionSpace, T, Form>::type;
  using Matrix = Tensor<ExecutionSpace, T, 2>;

public:
  using value_type = T;
  using execution_space = ExecutionSpace;

  struct Context {
    std::vector<Matrix> states;                          // what enters each block, and the norm: (rows at hand, D)
    mutable std::vector<typename Block::Context> blocks; // with `recompute` one for all, which backward fills again
    mutable std::size_t remembered = 0;                  // the block that was last run forward, whole
    typename layers::LayerNorm<ExecutionSpace, T>::Context norm;
    layers::DropoutDraw dropout = {}; ///< set before forward; nothing is dropped by default
  };

  Encoder(ExecutionSpace const& exec, std::string const& name, EncoderConfig const& config, std::uint64_t seed,
          Form const& form = Form())
      : m_form(agreed(form, name, config, seed)), m_recompute(config.recompute),
        m_description(description_of(name, config)),
        m_embedding(exec, name + ".position", config.grid, config.width, Form::cuts_rows), m_units(config.depth),
        m_norm(exec, name + ".norm", config.width, Form::cuts_rows, config.norm_epsilon) {
    typename Block::Config const block{config.width, config.heads, config.mlp_ratio, config.dropout,
                                       config.norm_epsilon};
    for (std::size_t i = 0; i < config.depth; ++i) {
      auto const block_name = name + ".block" + std::to_string(i);
      if constexpr (std::same_as<Form, Replicated>)
        m_blocks.emplace_back(exec, block_name, block, seed);
      else
        m_blocks.emplace_back(exec, form, block_name, block, seed);
    }
  }

  template <TensorView<1> Positions>
  void forward(Workspace<ExecutionSpace>& workspace, Context& context, Tensor<ExecutionSpace, T, 3> const& x,
               Positions const& positions, Tensor<ExecutionSpace, T, 3> const& y) const {
    auto const& exec = workspace.exec();
    Extents<2> const batch{x.extent(0), x.extent(1)};
    Range const own = own_rows(rows(x));
    context.states.resize(m_blocks.size() + 1);
    context.blocks.resize(m_recompute ? 1 : m_blocks.size());
    for (auto& state : context.states)
      reserve(exec, state, "dchag::models::encoder_state", Extents<2>{own.size(), x.extent(2)});
    for (auto& block : context.blocks) block.dropout = context.dropout;
    m_embedding.forward(exec, part(rows(x), own), part(positions, own), context.states[0]);
    for (std::size_t i = 0; i < m_blocks.size(); ++i) {
      auto const use = m_units[i].in_forward();
      forward(workspace, context, i, batch, context.states[i + 1]);
    }
    m_norm.forward(workspace, context.norm, context.states.back(), part(rows(y), own));
    gather(exec, rows(y));
  }

  template <TensorView<1> Positions>
  void backward(Workspace<ExecutionSpace>& workspace, Context const& context, Positions const& positions,
                Tensor<ExecutionSpace, T, 3> const& d_y, Tensor<ExecutionSpace, T, 3> const& d_x) const {
    Extents<2> const batch{d_y.extent(0), d_y.extent(1)};
    Range const own = own_rows(rows(d_y));
    auto const d_own = part(rows(d_x), own);
    m_norm.backward(workspace, context.norm, context.states.back(), part(rows(d_y), own), d_own);
    for (std::size_t i = m_blocks.size(); i-- > 0;) {
      auto const use = m_units[i].in_backward();
      if (m_recompute && context.remembered != i) {
        auto frame = workspace.frame();
        forward(workspace, context, i, batch, frame.template take<T, 2>(extents_of(context.states[i])));
      }
      backward(workspace, context, i, batch, d_own);
    }
    m_embedding.backward(workspace.exec(), part(positions, own), d_own);
    gather(workspace.exec(), rows(d_x));
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

  Description const& describe() const { return m_description; }

private:
  static Description description_of(std::string const& name, EncoderConfig const& config) {
    Description description;
    description.set(name + " grid", concat(config.grid.rows, " x ", config.grid.columns));
    description.set(name + " positions", "learned").set(name + " width", config.width);
    description.set(name + " depth", config.depth).set(name + " heads", config.heads);
    description.set(name + " mlp ratio", config.mlp_ratio).set(name + " norm epsilon", config.norm_epsilon);
    description.note(name + " dropout", config.dropout);
    return description;
  }

  // Ranks of different encoders would wait for each other for ever.
  static Form const& agreed(Form const& form, std::string const& name, EncoderConfig const& config,
                            std::uint64_t seed) {
    if constexpr (!std::same_as<Form, Replicated>)
      comm::require_same(form.communicator(), "Encoder",
                         {{"name", name},
                          {"seed", seed},
                          {"rows of the grid", config.grid.rows},
                          {"columns of the grid", config.grid.columns},
                          {"width", config.width},
                          {"depth", config.depth},
                          {"heads", config.heads},
                          {"mlp_ratio", config.mlp_ratio},
                          {"dropout", config.dropout},
                          {"recompute", config.recompute},
                          {"norm_epsilon", config.norm_epsilon}});
    return form;
  }

  typename Block::Context& block_context(Context const& context, std::size_t i) const {
    return context.blocks[m_recompute ? 0 : i];
  }

  void forward(Workspace<ExecutionSpace>& workspace, Context const& context, std::size_t i, Extents<2> const& batch,
               Matrix const& y) const {
    auto const& x = context.states[i];
    context.remembered = m_blocks.size(); // none, should this be interrupted
    if constexpr (std::same_as<Form, Replicated>)
      m_blocks[i].forward(workspace, block_context(context, i), cube(x, batch), cube(y, batch));
    else
      m_blocks[i].forward(workspace, block_context(context, i), batch, x, y);
    context.remembered = i;
  }
  // d_x is d_y
  void backward(Workspace<ExecutionSpace>& workspace, Context const& context, std::size_t i, Extents<2> const& batch,
                Matrix const& d_x) const {
    auto const& x = context.states[i];
    if constexpr (std::same_as<Form, Replicated>)
      m_blocks[i].backward(workspace, block_context(context, i), cube(x, batch), cube(d_x, batch), cube(d_x, batch));
    else
      m_blocks[i].backward(workspace, block_context(context, i), batch, x, d_x, d_x);
  }

  static Tensor<ExecutionSpace, T, 3> cube(Matrix const& matrix, Extents<2> const& batch) {
    return reshape<3>(matrix, {batch[0], batch[1], matrix.extent(1)});
  }

  // The rows at hand in the blocks.
  Range own_rows(Matrix const& all) const {
    if constexpr (Form::cuts_rows) return comm::own_part(m_form.communicator(), all.extent(0));
    return {0, all.extent(0)};
  }
  static Matrix part(Matrix const& all, Range own) {
    return Matrix(all.data() + own.begin * all.extent(1), own.size(), all.extent(1));
  }
  template <TensorView<1> Index>
  static auto part(Index const& index, Range own) {
    return Tensor<ExecutionSpace, typename Index::value_type, 1>(index.data() + own.begin, own.size());
  }
  void gather(ExecutionSpace const& exec, Matrix const& all) const {
    if constexpr (Form::cuts_rows) comm::all_gather_parts(exec, m_form.communicator(), all);
  }

  Form m_form;
  bool m_recompute;
  Description m_description;
  PositionEmbedding<ExecutionSpace, T> m_embedding;
  std::vector<Block> m_blocks;
  std::vector<Unit> m_units; // of the blocks
  layers::LayerNorm<ExecutionSpace, T> m_norm;
};

} // namespace dchag
