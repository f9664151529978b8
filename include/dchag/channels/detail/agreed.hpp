// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/channels/channel_aggregator.hpp>
#include <dchag/comm/agree.hpp>

namespace dchag::detail {

/// The communicator, if all ranks have the same configuration, and the same further settings; throws on all otherwise.
/// Collective: one all-reduce of 16 bytes.
template <class Config>
comm::Communicator const& same_config(comm::Communicator const& communicator, char const* where, Config const& config,
                                      std::vector<comm::Setting> settings = {}) {
  std::vector<comm::Setting> const common{{"channels", config.channels},
                                          {"patch", config.patch},
                                          {"width", config.width},
                                          {"heads", config.heads},
                                          {"projection_bias", config.projection_bias},
                                          {"seed", config.seed}};
  settings.insert(settings.end(), common.begin(), common.end());
  for (std::size_t i = 0; i < config.channel_names.size(); ++i)
    settings.push_back({concat("the name of channel ", i), config.channel_names[i]});
  comm::require_same(communicator, where, settings);
  checked_names(where, config.channel_names, config.channels);
  return communicator;
}

/// The same, if there is a channel for each rank too.
inline comm::Communicator const& agreed(comm::Communicator const& communicator, char const* where,
                                        AggregatorConfig const& config) {
  same_config(communicator, where, config);
  std::size_t const ranks = static_cast<std::size_t>(communicator.size());
  comm::require_together<ShapeError>(communicator, ranks <= config.channels, where, ": ranks P = ", ranks,
                                     ", expected at most the channels C = ", config.channels);
  return communicator;
}

} // namespace dchag::detail
