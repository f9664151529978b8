// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/channels/detail/agreed.hpp>
#include <dchag/channels/detail/check_batch.hpp>
#include <dchag/channels/detail/merge_softmax.hpp>

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
/// of W_v and of the absorbed query: no activation; `check`: two small all-reduces. One rank calls none of them.
/// Throws: as `DistributedAggregator`.
/// Source: own, docs/fused.md; a model that was trained on one device can be distributed without training it again.
template <KokkosExecutionSpace ExecutionSpace, Scalar T>
class FlatAggregator {
  using Stage = detail::TokenStage<ExecutionSpace, T, Fused>;
  using Module = CrossAttention::Module<ExecutionSpace, T, Fused>;

public:
  using value_type = T;
  using execution_space = ExecutionSpace;

  struct Context {
    TokenPlan<ExecutionSpace> plan;
    typename Stage::Context stage;
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
    auto const& exec = workspace.exec();
    auto const image = as_image(input);
    prepare(exec, context, image);
    std::size_t const positions = m_tokenizer.positions(context.plan, image);
    require_shape("FlatAggregator::forward", "y", y, {image.pixels.extent(0), positions, m_config.width});
    std::size_t const N = rows(y).extent(0);
    m_module.absorb(workspace, context.module);
    if (context.plan.tokens() > 0) {
      m_module.pool(workspace, context.module,
                    Stage::forward(workspace, m_tokenizer, context.stage, context.plan, image), N);
    } else { // none of this rank's channels is present
      m_module.reserve_pooled(exec, context.module, N);
      Kokkos::deep_copy(exec, context.module.pooled.o, T(0));
      Kokkos::deep_copy(exec, context.module.pooled.sum, T(0));
      Kokkos::deep_copy(exec, context.module.pooled.maximum, std::numeric_limits<T>::lowest());
    }
    detail::merge_softmax(workspace, m_communicator, context.module.pooled);
    m_module.project(workspace, context.module, rows(y));
  }

  /// Shapes: d_y like y, the same on every rank; d_pixels like the image's pixels, or `no_gradient`.
  template <class Input, GradientView<4> DPixels>
  void backward(Workspace<ExecutionSpace>& workspace, Context const& context, Input const& input,
                Tensor<ExecutionSpace, T, 3> const& d_y, DPixels const& d_pixels) const {
    auto const& exec = workspace.exec();
    std::size_t const D = m_config.width;
    std::size_t const h = m_config.heads;
    auto frame = workspace.frame();
    auto const d_o = frame.template take<T, 2>(extents_of(context.module.pooled.o));
    auto const delta = frame.template take<T, 2>(extents_of(context.module.pooled.sum));
    auto const d_shared = frame.template take<T, 2>({D + h, D}); // of W_v, then of the absorbed query
    Tensor<ExecutionSpace, T, 2> const d_value(d_shared.data(), D, D);
    Tensor<ExecutionSpace, T, 2> const d_absorbed(d_shared.data() + D * D, h, D);
    Kokkos::deep_copy(exec, d_shared, T(0));
    m_module.project_backward(workspace, context.module, rows(d_y), d_o, delta);
    if (context.plan.tokens() > 0)
      Stage::backward(workspace, m_tokenizer, context.stage, context.plan, as_image(input), d_pixels,
                      [&](auto const& tokens, auto const& d_tokens) {
                        m_module.pool_backward(workspace, context.module, tokens, d_o, delta, d_absorbed, d_value, {},
                                               d_tokens);
                      });
    comm::all_reduce(exec, m_communicator, d_shared, comm::Reduce::sum);
    ops::add(exec, m_module.value_gradient(), d_value, m_module.value_gradient());
    m_module.absorb_backward(workspace, context.module, d_absorbed);
  }

  /// As `ChannelAggregator::freeze`.
  template <class Input>
  void freeze(Workspace<ExecutionSpace>& workspace, Context& context, Input const& input) const {
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

private:
  template <class Pixels>
  void prepare(ExecutionSpace const& exec, Context& context, Image<Pixels> const& image) const {
    if (context.plan.update(exec, image.channels, m_config.channels, own_channels())) context.module.folded = {};
  }

  comm::Communicator const& m_communicator;
  AggregatorConfig m_config;
  Tokenizer<ExecutionSpace, T> m_tokenizer;
  Module m_module;
};

} // namespace dchag
