// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/channels/channel_aggregator.hpp>

#include <reference/channel_aggregation.hpp>
#include <support/parameters.hpp>

namespace dchag::test {

/// The levels of a tree as the reference takes them.
template <class Tree>
std::vector<reference::Level> levels_of() {
  return []<class... Levels>(std::tuple<Levels...> const*) {
    return std::vector<reference::Level>{
        {std::same_as<typename Levels::layer, CrossAttention>, Levels::groups, Levels::sharing == Modules::shared}...};
  }(static_cast<typename Tree::levels const*>(nullptr));
}

/// Which channels an image has and which positions are wanted; empty: all.
struct Choice {
  std::vector<std::size_t> channels = {};
  std::vector<std::vector<std::size_t>> positions = {}; // of each sample, equally many

  /// The present channels, ascending.
  std::vector<std::size_t> present(std::size_t count) const {
    auto list = channels;
    for (std::size_t c = 0; channels.empty() && c < count; ++c) list.push_back(c);
    std::ranges::sort(list);
    return list;
  }

  /// For the reference: the plane of each present channel.
  reference::Cut cut(reference::Array<4> const& image, std::size_t patch) const {
    auto result = reference::whole(image, patch);
    if (!channels.empty()) {
      result.planes.clear();
      for (auto c : present(0))
        result.planes.push_back(static_cast<std::size_t>(std::ranges::find(channels, c) - channels.begin()));
    }
    if (!positions.empty()) result.positions = positions;
    return result;
  }

  /// For the library.
  template <class Space, class Pixels>
  Image<Pixels> image(Space const& exec, Pixels const& pixels) const {
    Image<Pixels> result{pixels, channels, {}};
    if (positions.empty()) return result;
    auto const table =
        allocate<std::size_t>(exec, "dchag::test::positions", Extents<2>{positions.size(), positions.front().size()});
    exec.fence();
    auto const host = to_host(table);
    for (std::size_t b = 0; b < positions.size(); ++b)
      for (std::size_t i = 0; i < positions[b].size(); ++i) host(b, i) = positions[b][i];
    Kokkos::deep_copy(table, host);
    result.positions = table;
    return result;
  }

  /// Positions per sample of an image of this size.
  std::size_t kept(std::size_t all) const { return positions.empty() ? all : positions.front().size(); }
};

/// Planes (B, C, H, W) of an image in another order, or some of them.
template <class Space, class Pixels>
Pixels planes_of(Space const& exec, Pixels const& image, std::vector<std::size_t> const& planes) {
  auto const [B, C, H, W] = extents_of(image);
  auto const from = flat(image);
  std::vector<double> to;
  for (std::size_t b = 0; b < B; ++b)
    for (auto c : planes) {
      auto const begin = from.begin() + static_cast<std::ptrdiff_t>((b * C + c) * H * W);
      to.insert(to.end(), begin, begin + static_cast<std::ptrdiff_t>(H * W));
    }
  auto const result =
      allocate<typename Pixels::value_type>(exec, "dchag::test::planes", Extents<4>{B, planes.size(), H, W});
  exec.fence();
  assign(result, to);
  return result;
}

/// What a step gave: the output, the gradients of the parameters held here and of the planes held here.
struct StepResult {
  std::vector<double> y;
  std::vector<double> d_image;
  Numbers d_weights;
};

/// Forward and backward of any aggregator, from cleared gradients, with a random d_output. d_pixels is overwritten.
template <class Aggregator, class Space, class Pixels, class DPixels>
StepResult step_of(Workspace<Space>& workspace, Aggregator& aggregator, typename Aggregator::Context& context,
                   Image<Pixels> const& image, std::size_t positions, DPixels const& d_pixels) {
  using T = typename Aggregator::value_type;
  auto const& exec = workspace.exec();
  std::size_t const B = image.pixels.extent(0);
  std::size_t const D = aggregator.config().width;
  auto const y = filled_tensor<T>(exec, {B, positions, D}, nan_value);
  auto const d_y = random_tensor<T>(exec, 1, "d_y", {B, positions, D});
  clear_gradients(exec, aggregator);
  aggregator.forward(workspace, context, image, y);
  aggregator.backward(workspace, context, image, d_y, d_pixels);
  exec.fence();
  return {flat(y), {}, gradients_of(aggregator)};
}

/// The same for contiguous pixels, with the gradient of the image.
template <class Aggregator, class Space>
StepResult step_of(Workspace<Space>& workspace, Aggregator& aggregator,
                   Tensor<Space, typename Aggregator::value_type, 4> const& pixels, Choice const& choice = {}) {
  using T = typename Aggregator::value_type;
  typename Aggregator::Context context;
  auto const image = choice.image(workspace.exec(), pixels);
  std::size_t const p = aggregator.config().patch;
  auto const d_pixels = allocate<T>(workspace.exec(), "dchag::test::d_pixels", extents_of(pixels));
  Kokkos::deep_copy(workspace.exec(), d_pixels, static_cast<T>(nan_value));
  auto result = step_of(workspace, aggregator, context, image,
                        choice.kept(pixels.extent(2) / p * (pixels.extent(3) / p)), d_pixels);
  result.d_image = flat(d_pixels);
  return result;
}

/// What the definition gives for a ChannelAggregator with these weights.
template <class Tree>
StepResult reference_step(AggregatorConfig const& config, Numbers const& weights, reference::Array<4> const& image,
                          Choice const& choice = {}) {
  reference::Model model{config.width, config.heads, weights};
  auto const cut = choice.cut(image, config.patch);
  auto const present = choice.present(config.channels);
  auto const tokens = reference::tokenize(model, present, image, cut);
  auto const y = reference::tree_forward(model, "tree", levels_of<Tree>(), config.channels, tokens);
  reference::Array<2> d_y(y.extents);
  for (std::size_t i = 0; i < d_y.values.size(); ++i) d_y.values[i] = Random(1, "d_y").normal(i);
  for (auto const& [name, values] : weights) model.gradient(name); // zero unless something is added
  auto const d_tokens = reference::tree_backward(model, "tree", levels_of<Tree>(), config.channels, tokens, d_y);
  auto const d_image = reference::tokenize_backward(model, present, image, cut, d_tokens);
  return {y.values, d_image.values, model.gradients};
}

} // namespace dchag::test
