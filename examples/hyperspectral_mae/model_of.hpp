// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/channels/distributed_aggregator.hpp>
#include <dchag/models/masked_autoencoder.hpp>
#include <dchag/train/adamw.hpp>

#include "model.hpp"

#include <cmath>

namespace hyperspectral {

using Space = Kokkos::DefaultExecutionSpace;

/// The model around one of the library's aggregators.
template <class Aggregator>
class ModelOf final : public Model {
  using T = typename Aggregator::value_type;
  using Autoencoder = dchag::MaskedAutoencoder<Aggregator>;
  using Mask = typename Autoencoder::Mask;

public:
  ModelOf(Aggregator aggregator, ModelSettings const& settings, dchag::comm::Communicator const& communicator)
      : m_settings(settings), m_communicator(communicator), m_own(aggregator.own_channels()),
        m_model(m_workspace.exec(), std::move(aggregator),
                {.height = settings.crop.lines,
                 .width = settings.crop.samples,
                 .depth = settings.depth,
                 .heads = settings.heads,
                 .decoder_features = settings.decoder_width,
                 .decoder_depth = settings.decoder_depth,
                 .decoder_heads = settings.decoder_heads}),
        m_optimizer(m_workspace.exec(), m_model,
                    {.beta1 = settings.beta1, .beta2 = settings.beta2, .weight_decay = settings.weight_decay}) {}

  Step train(std::span<float const> batch, std::uint64_t draw, double learning_rate) override {
    auto const& exec = m_workspace.exec();
    load(batch);
    auto const loss = m_settings.loss_everywhere ? Mask::Loss::everywhere : Mask::Loss::hidden;
    m_mask.draw(exec, samples(), positions(), m_settings.mask_ratio, loss, m_settings.seed, draw);
    dchag::clear_gradients(exec, m_model);
    m_model.forward(m_workspace, m_context, own_image(), m_mask);
    double const error = m_model.backward(m_workspace, m_context, own_image(), m_image, m_mask);
    double const norm = dchag::clip_gradients(exec, m_model, m_settings.clip, [&](double sum) {
      return dchag::comm::all_reduce(m_communicator, sum, dchag::comm::Reduce::sum);
    });
    if (std::isfinite(error) && std::isfinite(norm)) m_optimizer.step(exec, m_model, learning_rate);
    return {error, norm};
  }

  double evaluate(std::span<float const> batch, Visible const& visible) override {
    show(batch, visible);
    m_model.forward(m_workspace, m_context, own_image(), m_mask);
    return m_model.loss(m_workspace.exec(), m_context, m_image, m_mask);
  }

  std::vector<float> predict(std::span<float const> batch, Visible const& visible) override {
    show(batch, visible);
    m_model.forward(m_workspace, m_context, own_image(), m_mask);
    auto const host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), m_context.prediction);
    std::vector<float> values(batch.size());
    std::size_t const p = m_settings.patch;
    std::size_t const C = m_settings.channels;
    auto const [lines, columns] = m_settings.crop;
    std::size_t next = 0;
    for (std::size_t b = 0; b < samples(); ++b)
      for (std::size_t c = 0; c < C; ++c)
        for (std::size_t y = 0; y < lines; ++y)
          for (std::size_t x = 0; x < columns; ++x)
            values[next++] = static_cast<float>(host(b, y / p * (columns / p) + x / p, (c * p + y % p) * p + x % p));
    return values;
  }

  std::size_t parameters() override { return dchag::parameter_count(m_model); }
  std::vector<dchag::ParameterNorm> norms() override { return dchag::parameter_norms(m_workspace.exec(), m_model); }

private:
  std::size_t samples() const { return m_image.extent(0); }
  std::size_t positions() const { return m_model.grid().positions(); }

  // The batch becomes the image of all channels; the aggregator reads its own planes of it.
  void load(std::span<float const> batch) {
    auto const& exec = m_workspace.exec();
    auto const& crop = m_settings.crop;
    std::size_t const B = batch.size() / (m_settings.channels * crop.pixels());
    dchag::reserve(exec, m_image, "dchag::example::image",
                   dchag::Extents<4>{B, m_settings.channels, crop.lines, crop.samples});
    auto const fill = [&](auto const& image) {
      for (std::size_t i = 0; i < batch.size(); ++i) image.data()[i] = static_cast<T>(batch[i]);
    };
    if constexpr (std::same_as<typename Space::memory_space, Kokkos::HostSpace>) {
      fill(m_image);
    } else {
      dchag::reserve(Kokkos::DefaultHostExecutionSpace(), m_host_image, "dchag::example::host_image",
                     dchag::extents_of(m_image));
      fill(m_host_image);
      Kokkos::deep_copy(exec, m_image, m_host_image);
    }
    exec.fence();
  }

  void show(std::span<float const> batch, Visible const& visible) {
    load(batch);
    m_mask.set(m_workspace.exec(), positions(), visible, Mask::Loss::hidden);
  }

  auto own_image() const {
    return dchag::Image{
        Kokkos::subview(m_image, Kokkos::ALL, std::pair(m_own.begin, m_own.end), Kokkos::ALL, Kokkos::ALL)};
  }

  ModelSettings m_settings;
  dchag::comm::Communicator const& m_communicator;
  dchag::Range m_own;
  dchag::Workspace<Space> m_workspace;
  Autoencoder m_model;
  dchag::AdamW<Space, T> m_optimizer;
  typename Autoencoder::Context m_context;
  Mask m_mask;
  dchag::Tensor<Space, T, 4> m_image;   // (B, C, H, W)
  dchag::HostTensor<T, 4> m_host_image; // on the way to a device
};

/// D-CHAG with this tree in each group.
template <class T, class Form, class Tree>
std::unique_ptr<Model> make_dchag(std::size_t groups, ModelSettings const& settings,
                                  dchag::comm::Communicator const& communicator) {
  using Aggregator = dchag::DistributedAggregator<Space, T, Tree, dchag::CrossAttention, Form>;
  return std::make_unique<ModelOf<Aggregator>>(Aggregator(Space(), communicator,
                                                          {.channels = settings.channels,
                                                           .groups = groups,
                                                           .patch = settings.patch,
                                                           .width = settings.width,
                                                           .heads = settings.heads,
                                                           .seed = settings.seed}),
                                               settings, communicator);
}

/// The aggregation of all channels by one module.
inline dchag::AggregatorConfig flat_config(ModelSettings const& settings) {
  return {.channels = settings.channels,
          .patch = settings.patch,
          .width = settings.width,
          .heads = settings.heads,
          .seed = settings.seed};
}

// Each is compiled in a file of its own: they take most of the build's time.
template <class T, class Form>
std::unique_ptr<Model> make_flat(ModelSettings const& settings, dchag::comm::Communicator const& communicator);
template <class T>
std::unique_ptr<Model> make_distributed_tokens(ModelSettings const& settings,
                                               dchag::comm::Communicator const& communicator);
template <class T, class Form>
std::unique_ptr<Model> make_cross_attention(std::size_t fan_out, std::size_t groups, ModelSettings const& settings,
                                            dchag::comm::Communicator const& communicator);
template <class T, class Form>
std::unique_ptr<Model> make_linear(std::size_t fan_out, std::size_t groups, ModelSettings const& settings,
                                   dchag::comm::Communicator const& communicator);

} // namespace hyperspectral
