// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "model_of.hpp"

namespace hyperspectral {

// Every rank does all of it: the paper's model for one device.
template <class T, class Form>
std::unique_ptr<Model> make_flat(ModelSettings const& settings, dchag::comm::Mesh const& mesh) {
  using Aggregator = dchag::ChannelAggregator<Space, T, dchag::Tree<dchag::CrossAttention>, Form>;
  return std::make_unique<ModelOf<Aggregator>>(Aggregator(Space(), flat_config(settings)), settings, mesh);
}

template std::unique_ptr<Model> make_flat<float, dchag::Materialized>(ModelSettings const&, dchag::comm::Mesh const&);
template std::unique_ptr<Model> make_flat<double, dchag::Materialized>(ModelSettings const&, dchag::comm::Mesh const&);

} // namespace hyperspectral
