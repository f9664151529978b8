// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/channels/channel_set.hpp>
#include <dchag/channels/tree.hpp>
#include <dchag/core/description.hpp>

/// \file
/// What aggregators say of themselves. Those that compute the same function of the same parameters say the same.
namespace dchag::detail {

template <class Layer>
std::string layer_name() {
  if constexpr (requires { Layer::name; })
    return Layer::name;
  else
    return "unnamed";
}
template <class Layer>
constexpr bool has_heads() {
  if constexpr (requires { Layer::has_heads; })
    return Layer::has_heads;
  else
    return true;
}
template <class Layer>
constexpr InputWeights input_weights() {
  if constexpr (requires { Layer::input_weights; })
    return Layer::input_weights;
  else
    return InputWeights::unmarked;
}

template <class Levels>
struct DescribedLevels;
template <class First, class... Others>
struct DescribedLevels<std::tuple<First, Others...>> {
  static constexpr bool has_heads =
      (detail::has_heads<typename First::layer>() || ... || detail::has_heads<typename Others::layer>());

  /// "cross_attention/4 > linear/1": of each level, from the channels on, the layer and the number of groups.
  static std::string text(std::size_t inputs) {
    std::string text = level_text<First>(inputs);
    ((text += " > " + level_text<Others>(inputs)), ...);
    return text;
  }

  /// How many inputs each module of the lowest level takes.
  static std::vector<std::size_t> lowest(std::size_t inputs) {
    std::size_t const groups = (std::min)(First::groups, inputs);
    std::vector<std::size_t> sizes;
    for (std::size_t i = 0; i < groups; ++i) sizes.push_back(even_part(inputs, groups, i).size());
    return sizes;
  }

  /// Whether it matters at which place of its module a channel is: its weights do not go with it.
  static bool place_counts(std::size_t inputs) {
    constexpr auto weights = input_weights<typename First::layer>();
    bool const shared = is_shared<First>((std::min)(First::groups, inputs));
    return weights == InputWeights::unmarked || (weights == InputWeights::marked && shared);
  }

private:
  template <class Level>
  static bool is_shared(std::size_t groups) {
    return Level::sharing == Modules::shared && groups > 1;
  }
  template <class Level>
  static std::string level_text(std::size_t& inputs) {
    inputs = (std::min)(Level::groups, inputs);
    return concat(layer_name<typename Level::layer>(), '/', inputs, is_shared<Level>(inputs) ? " shared" : "");
  }
};

/// The names, if there are any.
/// Throws: ShapeError unless they are as many as the channels, and none comes twice.
inline std::vector<std::string> const& checked_names(char const* where, std::vector<std::string> const& names,
                                                     std::size_t channels) {
  if (names.empty()) return names;
  require(names.size() == channels, where, ": ", names.size(),
          " channel names, expected as many as channels C = ", channels);
  ChannelSet const unique(names);
  return names;
}

/// With `groups` 0 the tree is over all channels; otherwise there is one in each group, and Final over the groups.
template <class T, class TreePolicy, class Final, class Config>
Description describe_aggregator(Config const& config, std::size_t groups) {
  using Levels = DescribedLevels<typename TreePolicy::levels>;
  std::size_t const trees = std::max<std::size_t>(groups, 1);
  DescribedChannels channels{.count = config.channels, .names = config.channel_names};
  for (std::size_t g = 0; g < trees; ++g)
    channels.modules.push_back(Levels::lowest(even_part(config.channels, trees, g).size()));
  std::size_t const largest = even_part(config.channels, trees, 0).size();
  channels.place_counts = Levels::place_counts(largest);
  Description description;
  description.set_channels(std::move(channels)).set("patch", config.patch).set("aggregation width", config.width);
  description.set("aggregation groups", groups > 0 ? std::to_string(groups) : "none");
  description.set("aggregation tree", Levels::text(largest));
  if (groups > 0) description.set("aggregation final", layer_name<Final>());
  if (Levels::has_heads || (groups > 0 && has_heads<Final>()))
    description.set("aggregation heads", config.heads).set("aggregation projection bias", config.projection_bias);
  description.note("scalar", std::same_as<T, float> ? "float" : "double");
  return description;
}

/// One cross-attention over all channels.
template <class T, class Config>
Description describe_flat(Config const& config) {
  return describe_aggregator<T, Tree<CrossAttention>, CrossAttention>(config, 0);
}

} // namespace dchag::detail
