// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/channels/detail/agreed.hpp>
#include <dchag/channels/detail/check_batch.hpp>
#include <dchag/channels/detail/flat_cross_attention.hpp>
#include <dchag/channels/detail/token_stage.hpp>

namespace dchag {

/// The flat cross-attention over all channels, distributed exactly: the function of `ChannelAggregator`, one module for
/// all C channels, whatever the number of ranks. Each rank pools its own channels; what it pooled, as small as one
/// token, merges with the others' into the softmax over all.
///
/// Shapes: own planes (B, c, H, W), or an `Image` -> y (B, positions, D), the same on every rank. Any P up to C; rank r
/// owns part r of C contiguous parts as equal as possible. Parameters as `ChannelAggregator`'s, the tokenizer's of the
/// own channels only.
/// Collective: construction (one all-reduce of 16 bytes); `forward`: two all-reduces, the maximum of N h numbers, then
/// the sum of N (D + h), whatever C and P are; `backward`: one all-reduce, the sum of D^2 + h D numbers, the gradients
/// of W_v and of the absorbed query (materialized 2 D^2 + D, of W_k, W_v and the query, and 2 D more with biases): no
/// activation; `check`: two small all-reduces. One rank calls none of them.
/// Throws: as `DistributedAggregator`.
/// Source: own, docs/fused.md; a model that was trained on one device can be distributed without training it again.
template <KokkosExecutionSpace ExecutionSpace, Scalar T, AggregationForm Form = Fused>
class FlatAggregator {
  using Stage = detail::TokenStage<ExecutionSpace, T, Form>;
  using Module = detail::FlatCrossAttention<ExecutionSpace, T, Form>;

public:
  using value_type = T;
  using execution_space = ExecutionSpace;

  struct Context {
    TokenPlan<ExecutionSpace> plan;
    typename Stage::Context stage; // materialized: tokens (c, N, D)
    typename Module::Context module;
  };

  /// Keeps a reference to the communicator.
  FlatAggregator(ExecutionSpace const& exec, comm::Communicator const& communicator, AggregatorConfig const& config)
      : m_communicator(detail::agreed(communicator, "FlatAggregator", config)), m_config(config),
        m_tokenizer(exec, "tokenizer", {config.channels, config.patch, config.width}, own_channels(), config.seed),
        m_module(exec, "tree.level0.module0", config.channels, config.aggregation(), Placement::replicated,
                 config.seed) {}

  FlatAggregator(ExecutionSpace const&, comm::Communicator const&&, AggregatorConfig const&) = delete;

  AggregatorConfig const& config() const { return m_config; }

  /// The channels whose planes this rank's image must bring.
  Range own_channels() const {
    return even_part(m_config.channels, static_cast<std::size_t>(m_communicator.size()),
                     static_cast<std::size_t>(m_communicator.rank()));
  }

  /// Throws the same error on every rank unless every rank's image fits the model and all bring the same batch.
  /// Collective: two all-reduces of at most 16 bytes.
  template <class Input>
  void check(ExecutionSpace const& exec, Context& context, Input const& input) const {
    auto const image = as_image(input);
    detail::check_batch(m_communicator, "FlatAggregator", image, [&] {
      prepare(exec, context, image);
      return m_tokenizer.positions(context.plan, image);
    });
  }

  template <class Input>
  void forward(Workspace<ExecutionSpace>& workspace, Context& context, Input const& input,
               Tensor<ExecutionSpace, T, 3> const& y) const {
    auto const image = as_image(input);
    prepare(workspace.exec(), context, image);
    std::size_t const positions = m_tokenizer.positions(context.plan, image);
    require_shape("FlatAggregator::forward", "y", y, {image.pixels.extent(0), positions, m_config.width});
    m_module.forward(
        workspace, m_communicator, context.module, context.plan.tokens() > 0,
        [&]() -> decltype(auto) { return Stage::forward(workspace, m_tokenizer, context.stage, context.plan, image); },
        rows(y));
  }

  /// Shapes: d_y like y, the same on every rank; d_pixels like the image's pixels, or `no_gradient`.
  template <class Input, GradientView<4> DPixels>
  void backward(Workspace<ExecutionSpace>& workspace, Context const& context, Input const& input,
                Tensor<ExecutionSpace, T, 3> const& d_y, DPixels const& d_pixels) const {
    m_module.backward(workspace, m_communicator, context.module, rows(d_y), [&](auto const& pool_backward) {
      if (context.plan.tokens() > 0) // some of this rank's channels are present
        Stage::backward(workspace, m_tokenizer, context.stage, context.plan, as_image(input), d_pixels, pool_backward);
    });
  }

  /// As `ChannelAggregator::freeze`.
  template <class Input>
  void freeze(Workspace<ExecutionSpace>& workspace, Context& context,
              Input const& input) const requires FusedForm<Form> {
    auto const image = as_image(input);
    prepare(workspace.exec(), context, image);
    if (context.plan.tokens() > 0)
      m_module.freeze(workspace, context.module, m_tokenizer.unmade_tokens(context.plan, image));
  }

  template <class F>
  void for_each_parameter(F const& f) {
    m_tokenizer.for_each_parameter(f);
    m_module.for_each_parameter(f);
  }

  Description describe() const { return detail::describe_flat<T>(m_config); }

private:
  template <class Pixels>
  void prepare(ExecutionSpace const& exec, Context& context, Image<Pixels> const& image) const {
    if (!context.plan.update(exec, image.channels, m_config.channels, own_channels())) return;
    if constexpr (FusedForm<Form>) context.module.folded = {}; // `freeze` made it for other channels
  }

  comm::Communicator const& m_communicator;
  AggregatorConfig m_config;
  Tokenizer<ExecutionSpace, T> m_tokenizer;
  Module m_module;
};

} // namespace dchag
