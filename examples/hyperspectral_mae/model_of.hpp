// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/number.hpp>
#include <dchag/models/masked_autoencoder.hpp>
#include <dchag/parallel/data_parallel.hpp>
#include <dchag/train/adamw.hpp>

#include "aggregators.hpp"
#include "model.hpp"

namespace hyperspectral {

/// The model around an aggregator: the ranks of `mesh.tensor()` share its aggregation and encoder,
/// the replicas the samples of a batch.
template <class T>
class ModelOf final : public Model {
  using Aggregator = AnyAggregator<T>;
  using Autoencoder = dchag::MaskedAutoencoder<Aggregator, dchag::parallel::TensorParallel>;
  using Mask = typename Autoencoder::Mask;

public:
  /// The model has no memory before it is sharded; the aggregator may come without as well.
  ModelOf(Aggregator aggregator, ModelSettings const& settings, dchag::comm::Mesh const& mesh)
      : m_settings(settings), m_mesh(mesh), m_own(aggregator.own_channels()), m_model(dchag::deferred([&] {
          return Autoencoder(m_workspace.exec(), std::move(aggregator),
                             {.height = settings.crop.lines,
                              .width = settings.crop.samples,
                              .depth = settings.depth,
                              .heads = settings.heads,
                              .decoder_features = settings.decoder_width,
                              .decoder_depth = settings.decoder_depth,
                              .decoder_heads = settings.decoder_heads,
                              .dropout = settings.dropout,
                              .recompute = settings.recompute},
                             dchag::parallel::TensorParallel(divides_heads() ? mesh.tensor() : m_alone));
        })),
        m_training(m_workspace.exec(), mesh, m_model, settings.sharding),
        m_optimizer(m_workspace.exec(), m_training,
                    {.beta1 = settings.beta1, .beta2 = settings.beta2, .weight_decay = settings.weight_decay}) {}

  Step train(std::span<float const> batch, std::uint64_t draw, double learning_rate) override {
    auto const& exec = m_workspace.exec();
    auto const replicas = static_cast<std::size_t>(m_mesh.replicas().size());
    auto const share = batch.size() / replicas;
    auto const replica = static_cast<std::size_t>(m_mesh.replicas().rank());
    load(batch.subspan(replica * share, share));
    auto const loss = m_settings.loss_everywhere ? Mask::Loss::everywhere : Mask::Loss::hidden;
    std::size_t const first = replica * samples();
    m_mask.draw(exec, samples(), positions(), m_settings.mask_ratio, loss, m_settings.seed, draw, first);
    m_context.dropout = {.training = true, .step = static_cast<std::uint32_t>(draw), .first_sample = first};
    m_training.begin_step();
    m_model.forward(m_workspace, m_context, own_image(), m_mask);
    double const error = m_model.backward(m_workspace, m_context, own_image(), m_image, m_mask);
    m_training.finish_backward();
    double const norm = dchag::clip_gradients(exec, m_training, m_settings.clip, m_training.gradient_sum());
    double const mean = m_training.mean(error);
    if (dchag::math::is_finite(mean) && dchag::math::is_finite(norm)) m_optimizer.step(exec, m_training, learning_rate);
    m_training.values_changed();
    m_context.dropout = {};
    return {mean, norm};
  }

  double evaluate(std::span<float const> batch, Visible const& visible) override {
    show(batch, visible);
    m_model.forward(m_workspace, m_context, own_image(), m_mask);
    return dchag::comm::from_rank(m_mesh.world(), 0, m_model.loss(m_workspace.exec(), m_context, m_image, m_mask));
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

  dchag::Checkpoint checkpoint(dchag::Metadata metadata) override {
    return {m_training, m_optimizer, std::move(metadata)};
  }

  std::size_t parameters() override { return dchag::parameter_count(m_training); }
  std::vector<dchag::ParameterNorm> norms() override { return dchag::parameter_norms(m_workspace.exec(), m_training); }

private:
  // Otherwise every rank computes the whole encoder.
  bool divides_heads() const { return m_settings.heads % static_cast<std::size_t>(m_mesh.tensor().size()) == 0; }

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
  dchag::comm::Mesh const& m_mesh;
  dchag::comm::Communicator m_alone = dchag::comm::Communicator::self();
  dchag::Range m_own;
  dchag::Workspace<Space> m_workspace;
  Autoencoder m_model;
  dchag::parallel::DataParallel<Autoencoder> m_training;
  dchag::AdamW<Space, T> m_optimizer;
  typename Autoencoder::Context m_context;
  Mask m_mask;
  dchag::Tensor<Space, T, 4> m_image;   // (B, C, H, W)
  dchag::HostTensor<T, 4> m_host_image; // on the way to a device
};

// Each is compiled in a file of its own: they take much of the build's time.
extern template class ModelOf<float>;
extern template class ModelOf<double>;

} // namespace hyperspectral
