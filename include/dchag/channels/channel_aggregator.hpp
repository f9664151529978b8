// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/channels/tokenizer.hpp>
#include <dchag/channels/tree.hpp>

namespace dchag {

/// Sizes of an aggregation of channels.
struct AggregatorConfig {
  std::size_t channels; ///< C
  std::size_t patch;    ///< edge p, in pixels
  std::size_t width;    ///< D
  std::size_t heads;    ///< h, of the cross-attention
  bool projection_bias = false;
  std::uint64_t seed = 0;

  AggregationConfig aggregation() const { return {width, heads, projection_bias}; }
};

/// Tokenizes all channels of an image and reduces them to one token per position, on one rank. With
/// `Tree<CrossAttention>` this is the flat aggregation of the one-device model, the paper's baseline.
///
/// Shapes: image (B, C, H, W), or an `Image` -> y (B, positions, D).
/// Throws: ShapeError if heads do not divide the width or the image does not fit the model.
/// Source: the paper, section 3.
template <KokkosExecutionSpace ExecutionSpace, Scalar T, class TreePolicy = Tree<CrossAttention>>
class ChannelAggregator {
public:
  using value_type = T;
  using execution_space = ExecutionSpace;

  struct Context {
    TokenPlan<ExecutionSpace> plan;
    Tensor<ExecutionSpace, T, 3> tokens; // (C, N, D)
    typename TreeAggregation<ExecutionSpace, T, TreePolicy>::Context tree;
  };

  ChannelAggregator(ExecutionSpace const& exec, AggregatorConfig const& config)
      : m_config(config), m_tokenizer(exec, "tokenizer", {config.channels, config.patch, config.width},
                                      Range{0, config.channels}, config.seed),
        m_tree(exec, "tree", config.channels, config.aggregation(), Placement::replicated, config.seed) {}

  AggregatorConfig const& config() const { return m_config; }

  /// The channels whose planes an image must bring: all.
  Range own_channels() const { return {0, m_config.channels}; }

  template <class Input>
  void forward(Workspace<ExecutionSpace>& workspace, Context& context, Input const& input,
               Tensor<ExecutionSpace, T, 3> const& y) const {
    auto const& exec = workspace.exec();
    auto const image = as_image(input);
    context.plan.update(exec, image.channels, m_config.channels, own_channels());
    m_tree.plan(exec, context.tree, context.plan.own());
    std::size_t const positions = m_tokenizer.positions(context.plan, image);
    std::size_t const B = image.pixels.extent(0);
    require_shape("ChannelAggregator::forward", "y", y, {B, positions, m_config.width});
    reserve(exec, context.tokens, "dchag::channels::tokens",
            Extents<3>{context.plan.tokens(), B * positions, m_config.width});
    m_tokenizer.forward(workspace, context.plan, image, context.tokens);
    m_tree.forward(workspace, context.tree, context.tokens, rows(y));
  }

  /// Shapes: d_pixels like the image's pixels, or `no_gradient`.
  template <class Input, GradientView<4> DPixels>
  void backward(Workspace<ExecutionSpace>& workspace, Context const& context, Input const& input,
                Tensor<ExecutionSpace, T, 3> const& d_y, DPixels const& d_pixels) const {
    auto frame = workspace.frame();
    auto const d_tokens = frame.template take<T, 3>(extents_of(context.tokens));
    m_tree.backward(workspace, context.tree, context.tokens, rows(d_y), d_tokens);
    m_tokenizer.backward(workspace, context.plan, as_image(input), d_tokens, d_pixels);
  }

  template <class F>
  void for_each_parameter(F const& f) {
    m_tokenizer.for_each_parameter(f);
    m_tree.for_each_parameter(f);
  }

private:
  AggregatorConfig m_config;
  Tokenizer<ExecutionSpace, T> m_tokenizer;
  TreeAggregation<ExecutionSpace, T, TreePolicy> m_tree;
};

} // namespace dchag
