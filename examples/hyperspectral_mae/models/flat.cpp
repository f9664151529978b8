// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/channels/flat_aggregator.hpp>

#include "aggregators.hpp"

namespace hyperspectral {

template <class T, class Form>
AnyAggregator<T> make_flat(ModelSettings const& settings, dchag::comm::Mesh const& mesh) {
  using Aggregator = dchag::FlatAggregator<Space, T, Form>;
  return AnyAggregator<T>(Aggregator(Space(), mesh.tensor(), flat_config(settings)));
}

template AnyAggregator<float> make_flat<float, dchag::Fused>(ModelSettings const&, dchag::comm::Mesh const&);
template AnyAggregator<double> make_flat<double, dchag::Fused>(ModelSettings const&, dchag::comm::Mesh const&);
template AnyAggregator<float> make_flat<float, dchag::Materialized>(ModelSettings const&, dchag::comm::Mesh const&);
template AnyAggregator<double> make_flat<double, dchag::Materialized>(ModelSettings const&, dchag::comm::Mesh const&);

} // namespace hyperspectral
