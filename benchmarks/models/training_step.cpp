// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/channels/channel_aggregator.hpp>
#include <dchag/channels/distributed_aggregator.hpp>
#include <dchag/models/masked_autoencoder.hpp>
#include <dchag/train/adamw.hpp>
#include <dchag/train/clipping.hpp>

#include "benchmarks/support/held.hpp"
#include "benchmarks/support/kept.hpp"
#include "benchmarks/support/measure.hpp"
#include "benchmarks/support/operations.hpp"
#include "benchmarks/support/sizes.hpp"

namespace dchag::bench {
namespace {

using Exec = Kokkos::DefaultExecutionSpace;
using T = float;

struct ModelSizes {
  Sizes image; // its width is the encoder's
  std::size_t depth, decoder_width, decoder_depth, decoder_heads;

  std::string label() const { return concat(image.label(), " depth ", depth, " decoder ", decoder_width); }
};
// The second is the paper's hyperspectral model with fewer bands and blocks, on a crop.
constexpr ModelSizes model_sizes[] = {{{"small", 2, 4, 8, 32, 4, 2}, 1, 16, 1, 4},
                                      {{"hyperspectral", 4, 16, 64, 512, 16, 6}, 4, 128, 2, 4}};
constexpr double hidden = 0.75; // of the positions

/// Forward, backward, clipping and AdamW of a masked autoencoder around one aggregator.
template <class Aggregator>
class TrainingCase {
  using Model = MaskedAutoencoder<Aggregator>;
  using Mask = typename Model::Mask;

public:
  TrainingCase(ModelSizes const& sizes, Aggregator aggregator)
      : m_own(aggregator.own_channels()), m_image(make_image<Exec, T>(sizes.image, sizes.image.channels)),
        m_model(Exec(), std::move(aggregator),
                {.height = m_image.extent(2),
                 .width = m_image.extent(3),
                 .depth = sizes.depth,
                 .heads = sizes.image.heads,
                 .decoder_features = sizes.decoder_width,
                 .decoder_depth = sizes.decoder_depth,
                 .decoder_heads = sizes.decoder_heads}),
        m_optimizer(Exec(), m_model) {
    m_mask.draw(Exec(), sizes.image.samples, sizes.image.positions(), hidden, Mask::Loss::everywhere, 0, 0);
    step(); // the workspace grows to its size
    m_context = {};
    test::AllocationCounter const counter;
    m_model.forward(m_workspace, m_context, own_image(), m_mask);
    m_held = bytes_held(counter);
  }

  void step() {
    auto const& exec = m_workspace.exec();
    clear_gradients(exec, m_model);
    m_model.forward(m_workspace, m_context, own_image(), m_mask);
    m_model.backward(m_workspace, m_context, own_image(), m_image, m_mask);
    clip_gradients(exec, m_model, 1.0, [](double sum) { return comm::all_reduce(ranks(), sum, comm::Reduce::sum); });
    m_optimizer.step(exec, m_model, 1e-4);
  }
  std::size_t held() const { return m_held; }

private:
  auto own_image() const {
    return Image{Kokkos::subview(m_image, Kokkos::ALL, std::pair(m_own.begin, m_own.end), Kokkos::ALL, Kokkos::ALL)};
  }

  Range m_own;
  Workspace<Exec> m_workspace;
  Tensor<Exec, T, 4> m_image;
  Model m_model;
  AdamW<Exec, T> m_optimizer;
  typename Model::Context m_context;
  Mask m_mask;
  std::size_t m_held = 0;
};

// The aggregator and the encoder see the visible positions only, the decoder and the head all of them.
std::size_t visible_rows(ModelSizes const& sizes) {
  auto const L = static_cast<double>(sizes.image.positions());
  return sizes.image.samples * static_cast<std::size_t>(L * (1 - hidden) + 0.5);
}

double operations_after_aggregation(ModelSizes const& sizes) {
  auto const number = [](std::size_t n) { return static_cast<double>(n); };
  double const B = number(sizes.image.samples);
  double const D = number(sizes.image.width);
  double const all = number(sizes.image.rows());
  double const visible = number(visible_rows(sizes));
  double const decoder = number(sizes.decoder_width);
  return encoder_operations(B, visible / B, D, number(sizes.depth)) + dense_operations(visible, D, decoder) +
         encoder_operations(B, all / B, decoder, number(sizes.decoder_depth)) +
         dense_operations(all, decoder, number(sizes.image.channels * sizes.image.pixels()));
}

template <class Policy>
double tree_operations(ModelSizes const& sizes, std::size_t inputs) {
  return TreeOperations<Policy>::count(static_cast<double>(visible_rows(sizes)), inputs,
                                       static_cast<double>(sizes.image.width));
}

double tokenizer_operations(ModelSizes const& sizes) {
  auto const N = static_cast<double>(visible_rows(sizes));
  auto const C = static_cast<double>(sizes.image.channels);
  auto const s = static_cast<double>(sizes.image.pixels());
  auto const D = static_cast<double>(sizes.image.width);
  return tokenizer_forward(N, C, s, D) + tokenizer_backward(N, C, s, D);
}

template <class Case, class Make>
void run(benchmark::State& state, std::string const& name, ModelSizes const& sizes, double aggregation, double sent,
         Make const& make) {
  auto& work = kept<Case>(name, make);
  double const operations = tokenizer_operations(sizes) + aggregation + operations_after_aggregation(sizes);
  measure<T>(state, sizes.label(), {operations, work.held(), sent}, [&] { work.step(); });
}

/// Every rank does everything.
void add_flat(ModelSizes const& sizes) {
  using Aggregator = ChannelAggregator<Exec, T>;
  using Case = TrainingCase<Aggregator>;
  auto const& image = sizes.image;
  auto const name = concat("training_step/flat/", image.name);
  add(name, [=](benchmark::State& state) {
    double const aggregation = tree_operations<Tree<CrossAttention>>(sizes, image.channels);
    double const norm = ranks().size() > 1 ? sizeof(double) : 0; // one double for the clipping
    run<Case>(state, name, sizes, aggregation, norm, [&] {
      return new Case(
          sizes,
          Aggregator(Exec(),
                     {.channels = image.channels, .patch = image.patch, .width = image.width, .heads = image.heads}));
    });
  });
}

/// D-CHAG with this layer, Tree0 in each of its groups: at least two, so that one rank runs the model of two.
template <class Layer>
void add_dchag(std::string const& letter, ModelSizes const& sizes) {
  using Aggregator = DistributedAggregator<Exec, T, Tree<Layer>>;
  using Case = TrainingCase<Aggregator>;
  auto const& image = sizes.image;
  auto const name = concat("training_step/", letter, "/Tree0/", image.name);
  add(name, [=](benchmark::State& state) {
    auto const P = static_cast<std::size_t>(ranks().size());
    std::size_t const G = std::max<std::size_t>(2, P);
    double aggregation = tree_operations<Tree<CrossAttention>>(sizes, G);
    for (std::size_t g = 0; g < G; ++g)
      aggregation += tree_operations<Tree<Layer>>(sizes, even_part(image.channels, G, g).size());
    auto const gathered = static_cast<double>(G / P * visible_rows(sizes) * image.width * sizeof(T));
    run<Case>(state, name, sizes, aggregation, P > 1 ? gathered + sizeof(double) : 0, [&] {
      return new Case(sizes, Aggregator(Exec(), ranks(),
                                        {.channels = image.channels,
                                         .groups = G,
                                         .patch = image.patch,
                                         .width = image.width,
                                         .heads = image.heads}));
    });
  });
}

bool const registered = [] {
  for (auto const& sizes : model_sizes) {
    add_flat(sizes);
    add_dchag<CrossAttention>("C", sizes);
    add_dchag<Linear>("L", sizes);
  }
  return true;
}();

} // namespace
} // namespace dchag::bench
