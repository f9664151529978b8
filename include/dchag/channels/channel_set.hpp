// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/error.hpp>

#include <algorithm>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace dchag {

/// The channels a model knows, in its order, by name. An image that has only some of them, in any order, is described
/// by the list that `select` makes of its names: the model then uses the weights of those channels and no others.
class ChannelSet {
public:
  /// Throws: ShapeError if there is no channel or a name comes twice.
  explicit ChannelSet(std::vector<std::string> names) : m_names(std::move(names)) {
    require(!m_names.empty(), "ChannelSet: there are no channels");
    for (std::size_t c = 0; c < m_names.size(); ++c) {
      auto const [entry, fresh] = m_index.emplace(m_names[c], c);
      require(fresh, "ChannelSet: channels ", entry->second, " and ", c, " are both called '", m_names[c], "'");
    }
  }

  /// Channels called "0", "1", ...
  static ChannelSet numbered(std::size_t count) {
    std::vector<std::string> names(count);
    for (std::size_t c = 0; c < count; ++c) names[c] = std::to_string(c);
    return ChannelSet(std::move(names));
  }

  std::size_t size() const { return m_names.size(); }
  std::string const& name(std::size_t channel) const { return m_names.at(channel); }

  /// The model's channel of each name.
  /// Throws: ShapeError that names what is unknown or comes twice.
  std::vector<std::size_t> select(std::span<std::string const> names) const {
    std::vector<std::size_t> channels;
    std::vector<bool> taken(size(), false);
    for (auto const& name : names) {
      auto const found = m_index.find(name);
      require(found != m_index.end(), "ChannelSet::select: the model's ", size(), " channels have none called '", name,
              "'");
      require(!taken[found->second], "ChannelSet::select: channel '", name, "' comes twice");
      taken[found->second] = true;
      channels.push_back(found->second);
    }
    return channels;
  }

private:
  std::vector<std::string> m_names;
  std::unordered_map<std::string, std::size_t> m_index;
};

/// Throws `ShapeError` unless the list names at least one channel, each below `count` and none twice.
inline void require_channels(char const* where, std::span<std::size_t const> channels, std::size_t count) {
  require(!channels.empty(), where, ": the image has none of the model's ", count, " channels");
  std::vector<bool> taken(count, false);
  for (std::size_t i = 0; i < channels.size(); ++i) {
    require(channels[i] < count, where, ": plane ", i, " is channel ", channels[i], ", expected less than C = ", count);
    require(!taken[channels[i]], where, ": channel ", channels[i], " comes twice, the second time as plane ", i);
    taken[channels[i]] = true;
  }
}

} // namespace dchag
