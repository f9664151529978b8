// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/channels/distributed_tokenization.hpp>

#include "aggregators.hpp"

namespace hyperspectral {

template <class T, class Form>
AnyAggregator<T> make_distributed_tokens(ModelSettings const& settings, dchag::comm::Mesh const& mesh) {
  using Aggregator = dchag::DistributedTokenization<Space, T, dchag::Tree<dchag::CrossAttention>, Form>;
  return AnyAggregator<T>(Aggregator(Space(), mesh.tensor(), flat_config(settings)));
}

template AnyAggregator<float> make_distributed_tokens<float, dchag::Fused>(ModelSettings const&,
                                                                           dchag::comm::Mesh const&);
template AnyAggregator<double> make_distributed_tokens<double, dchag::Fused>(ModelSettings const&,
                                                                             dchag::comm::Mesh const&);
template AnyAggregator<float> make_distributed_tokens<float, dchag::Materialized>(ModelSettings const&,
                                                                                  dchag::comm::Mesh const&);
template AnyAggregator<double> make_distributed_tokens<double, dchag::Materialized>(ModelSettings const&,
                                                                                    dchag::comm::Mesh const&);

} // namespace hyperspectral
