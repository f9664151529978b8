// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/channels/detail/agreed.hpp>
#include <dchag/channels/detail/check_batch.hpp>
#include <dchag/channels/detail/head_shared_cross_attention.hpp>
#include <dchag/channels/detail/token_stage.hpp>

namespace dchag {

/// Tensor parallelism alone, the paper's baseline: every rank tokenizes all channels, and the ranks share the heads of
/// one cross-attention over them. It computes the function of `ChannelAggregator`. Materialized, as the paper has it,
/// tokens are repeated on every rank, keys and values are shared; fused, each rank makes the tokens on the way.
///
/// Shapes: image (B, C, H, W) of all channels, or an `Image`, the same on every rank -> y (B, positions, D), the same
/// on every rank. Any P that divides the heads. Collective: construction (one all-reduce of 16 bytes); `forward`: one
/// all-reduce of N D numbers; `backward`: nothing without the image's gradient, else one all-reduce of it: the
/// gradients of tokenizer and query are this rank's share of them, to be summed once per step by
/// `parallel::sum_partial_gradients`; `check`: two small all-reduces. Throws: as `DistributedAggregator`. Source: the
/// paper, section 3.1, whose figures 6 and 9 call it TP.
template <KokkosExecutionSpace ExecutionSpace, Scalar T, AggregationForm Form = Fused>
class TensorParallelAggregator {
  using Stage = detail::TokenStage<ExecutionSpace, T, Form>;
  using Module = detail::HeadSharedCrossAttention<ExecutionSpace, T, Form>;

public:
  using value_type = T;
  using execution_space = ExecutionSpace;

  struct Context {
    TokenPlan<ExecutionSpace> plan;
    typename Stage::Context stage; // materialized: tokens (C, N, D)
    typename Module::Context module;
  };

  /// Keeps a reference to the communicator.
  TensorParallelAggregator(ExecutionSpace const& exec, comm::Communicator const& tensor, AggregatorConfig const& config)
      : m_communicator(&detail::same_config(tensor, "TensorParallelAggregator", config)), m_config(config),
        m_tokenizer(exec, "tokenizer", {config.channels, config.patch, config.width}, own_channels(), config.seed,
                    tensor.size() > 1),
        m_module(exec, tensor, "tree.level0.module0", config.channels, config.aggregation(), config.seed) {}

  TensorParallelAggregator(ExecutionSpace const&, comm::Communicator const&&, AggregatorConfig const&) = delete;

  AggregatorConfig const& config() const { return m_config; }

  /// The channels whose planes an image must bring: all.
  Range own_channels() const { return {0, m_config.channels}; }

  /// Throws the same error on every rank unless every rank's image fits the model and all bring the same batch.
  /// Collective: two all-reduces of at most 16 bytes.
  template <class Input>
  void check(ExecutionSpace const& exec, Context& context, Input const& input) const {
    auto const image = as_image(input);
    detail::check_batch(*m_communicator, "TensorParallelAggregator", image, [&] {
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
    require_shape("TensorParallelAggregator::forward", "y", y, {image.pixels.extent(0), positions, m_config.width});
    m_module.forward(workspace, context.module,
                     Stage::forward(workspace, m_tokenizer, context.stage, context.plan, image),
                     context.plan.device_channels(), rows(y));
  }

  /// Shapes: d_y like y, the same on every rank; d_pixels like the image's pixels and contiguous, or `no_gradient`.
  template <class Input, GradientView<4> DPixels>
  void backward(Workspace<ExecutionSpace>& workspace, Context const& context, Input const& input,
                Tensor<ExecutionSpace, T, 3> const& d_y, DPixels const& d_pixels) const {
    Stage::backward(workspace, m_tokenizer, context.stage, context.plan, as_image(input), d_pixels,
                    [&](auto const& tokens, auto const& d_tokens) {
                      m_module.backward(workspace, context.module, tokens, context.plan.device_channels(), rows(d_y),
                                        Range{0, context.plan.tokens()}, d_tokens);
                    });
    if constexpr (is_wanted<DPixels>) comm::all_reduce(workspace.exec(), *m_communicator, d_pixels, comm::Reduce::sum);
  }

  /// As `ChannelAggregator::freeze`.
  template <class Input>
  void freeze(Workspace<ExecutionSpace>& workspace, Context& context,
              Input const& input) const requires FusedForm<Form> {
    auto const image = as_image(input);
    prepare(workspace.exec(), context, image);
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

  comm::Communicator const* m_communicator;
  AggregatorConfig m_config;
  Tokenizer<ExecutionSpace, T> m_tokenizer;
  Module m_module;
};

} // namespace dchag
