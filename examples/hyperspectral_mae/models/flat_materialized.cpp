// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "aggregators.hpp"

namespace hyperspectral {

// Every rank does all of it: the paper's model for one device.
template <class T, class Form>
AnyAggregator<T> make_flat(ModelSettings const& settings, dchag::comm::Mesh const&) {
  using Aggregator = dchag::ChannelAggregator<Space, T, dchag::Tree<dchag::CrossAttention>, Form>;
  return AnyAggregator<T>(Aggregator(Space(), flat_config(settings)));
}

template AnyAggregator<float> make_flat<float, dchag::Materialized>(ModelSettings const&, dchag::comm::Mesh const&);
template AnyAggregator<double> make_flat<double, dchag::Materialized>(ModelSettings const&, dchag::comm::Mesh const&);

} // namespace hyperspectral
