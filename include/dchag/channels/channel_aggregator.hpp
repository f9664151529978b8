// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/channels/detail/describe.hpp>
#include <dchag/channels/detail/token_stage.hpp>
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
  ops::PoolingChoice pooling = {};             ///< of the fused cross-attention; left to the cost model if not said
  std::vector<std::string> channel_names = {}; ///< (C), by which checkpoints know the channels; empty: by their order

  /// Of modules whose inputs are all channels.
  AggregationConfig aggregation() const {
    AggregationConfig result{width, heads, projection_bias, pooling};
    result.channels = {0, channels};
    return result;
  }
};

namespace detail {

/// `ChannelAggregator` with its tree as a type: compiled once for all trees of the same layers.
template <KokkosExecutionSpace ExecutionSpace, Scalar T, class ChannelTree, AggregationForm Form>
class TreeAggregator {
  using Stage = TokenStage<ExecutionSpace, T, Form>;

public:
  using value_type = T;
  using execution_space = ExecutionSpace;

  struct Context {
    TokenPlan<ExecutionSpace> plan;
    typename Stage::Context stage; // materialized: tokens (C, N, D)
    typename ChannelTree::Context tree;
  };

  TreeAggregator(ExecutionSpace const& exec, AggregatorConfig const& config, typename ChannelTree::Shapes const& shapes)
      : m_config(checked(config)), m_tokenizer(exec, "tokenizer", {config.channels, config.patch, config.width},
                                               Range{0, config.channels}, config.seed),
        m_tree(exec, "tree", shapes, config.channels, config.aggregation(), Placement::replicated, config.seed) {}

  AggregatorConfig const& config() const { return m_config; }

  /// The channels whose planes an image must bring: all.
  Range own_channels() const { return {0, m_config.channels}; }

  /// Throws unless the image fits the model. Sends nothing.
  template <class Input>
  void check(ExecutionSpace const& exec, Context& context, Input const& input) const {
    auto const image = as_image(input);
    prepare(exec, context, image);
    m_tokenizer.positions(context.plan, image);
  }

  template <class Input>
  void forward(Workspace<ExecutionSpace>& workspace, Context& context, Input const& input,
               Tensor<ExecutionSpace, T, 3> const& y) const {
    auto const image = as_image(input);
    prepare(workspace.exec(), context, image);
    std::size_t const positions = m_tokenizer.positions(context.plan, image);
    require_shape("ChannelAggregator::forward", "y", y, {image.pixels.extent(0), positions, m_config.width});
    m_tree.forward(workspace, context.tree, Stage::forward(workspace, m_tokenizer, context.stage, context.plan, image),
                   rows(y));
  }

  /// Shapes: d_pixels like the image's pixels, or `no_gradient`.
  template <class Input, GradientView<4> DPixels>
  void backward(Workspace<ExecutionSpace>& workspace, Context const& context, Input const& input,
                Tensor<ExecutionSpace, T, 3> const& d_y, DPixels const& d_pixels) const {
    Stage::backward(workspace, m_tokenizer, context.stage, context.plan, as_image(input), d_pixels,
                    [&](auto const& tokens, auto const& d_tokens) {
                      m_tree.backward(workspace, context.tree, tokens, rows(d_y), d_tokens);
                    });
  }

  /// Prepares a context for inference on images with these channels and weights that no longer change: what can be
  /// computed from the weights alone is, once. `forward` then takes the first level's values from the context.
  template <class Input>
  void freeze(Workspace<ExecutionSpace>& workspace, Context& context,
              Input const& input) const requires FusedForm<Form> {
    auto const image = as_image(input);
    prepare(workspace.exec(), context, image);
    m_tree.freeze(workspace, context.tree, m_tokenizer.unmade_tokens(context.plan, image));
  }

  template <class F>
  void for_each_parameter(F const& f) {
    m_tokenizer.for_each_parameter(f);
    m_tree.for_each_parameter(f);
  }

private:
  static AggregatorConfig const& checked(AggregatorConfig const& config) {
    detail::checked_names("ChannelAggregator", config.channel_names, config.channels);
    return config;
  }

  template <class Pixels>
  void prepare(ExecutionSpace const& exec, Context& context, Image<Pixels> const& image) const {
    context.plan.update(exec, image.channels, m_config.channels, own_channels());
    m_tree.plan(exec, context.tree, context.plan.own());
  }

  AggregatorConfig m_config;
  Tokenizer<ExecutionSpace, T> m_tokenizer;
  ChannelTree m_tree;
};

} // namespace detail

/// Tokenizes all channels of an image and reduces them to one token per position, on one rank. With
/// `Tree<CrossAttention>` this is the flat aggregation of the one-device model, the paper's baseline.
///
/// Shapes: image (B, C, H, W), or an `Image` -> y (B, positions, D).
/// Throws: ShapeError if heads do not divide the width or the image does not fit the model.
/// Source: the paper, section 3; docs/fused.md for the fused form.
template <KokkosExecutionSpace ExecutionSpace, Scalar T, class TreePolicy = Tree<CrossAttention>,
          AggregationForm Form = Fused>
class ChannelAggregator
    : public detail::TreeAggregator<ExecutionSpace, T,
                                    typename detail::TreeOf<ExecutionSpace, T, Form, TreePolicy>::type, Form> {
  using ChannelTree = detail::TreeOf<ExecutionSpace, T, Form, TreePolicy>;
  using Base = detail::TreeAggregator<ExecutionSpace, T, typename ChannelTree::type, Form>;

public:
  ChannelAggregator(ExecutionSpace const& exec, AggregatorConfig const& config)
      : Base(exec, config, ChannelTree::shapes) {}

  Description describe() const { return detail::describe_aggregator<T, TreePolicy, void>(this->config(), 0); }
};

template <class ExecutionSpace, class T, class TreePolicy, class Form>
struct detail::WithoutShape<ChannelAggregator<ExecutionSpace, T, TreePolicy, Form>> {
  using type = TreeAggregator<ExecutionSpace, T, typename TreeOf<ExecutionSpace, T, Form, TreePolicy>::type, Form>;
};

} // namespace dchag
