// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "model_of.hpp"

namespace hyperspectral {

template <class T>
std::unique_ptr<Model> make_flat(ModelSettings const& settings, dchag::comm::Communicator const& communicator) {
  using Aggregator = dchag::ChannelAggregator<Space, T>;
  return std::make_unique<ModelOf<Aggregator>>(
      Aggregator(Space(), {settings.channels, settings.patch, settings.width, settings.heads, false, settings.seed}),
      settings, communicator);
}

template <class T>
std::unique_ptr<Model> make_distributed_tokens(ModelSettings const& settings,
                                               dchag::comm::Communicator const& communicator) {
  using Aggregator = dchag::DistributedTokenization<Space, T>;
  return std::make_unique<ModelOf<Aggregator>>(
      Aggregator(Space(), communicator,
                 {settings.channels, settings.patch, settings.width, settings.heads, false, settings.seed}),
      settings, communicator);
}

template std::unique_ptr<Model> make_flat<float>(ModelSettings const&, dchag::comm::Communicator const&);
template std::unique_ptr<Model> make_flat<double>(ModelSettings const&, dchag::comm::Communicator const&);
template std::unique_ptr<Model> make_distributed_tokens<float>(ModelSettings const&, dchag::comm::Communicator const&);
template std::unique_ptr<Model> make_distributed_tokens<double>(ModelSettings const&, dchag::comm::Communicator const&);

} // namespace hyperspectral
