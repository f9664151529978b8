// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/channels/tensor_parallel_aggregator.hpp>

#include "aggregators.hpp"

namespace hyperspectral {

template <class T, class Form>
AnyAggregator<T> make_tensor_parallel(ModelSettings const& settings, dchag::comm::Mesh const& mesh) {
  using Aggregator = dchag::TensorParallelAggregator<Space, T, Form>;
  return AnyAggregator<T>(Aggregator(Space(), mesh.tensor(), flat_config(settings)));
}

template AnyAggregator<float> make_tensor_parallel<float, dchag::Fused>(ModelSettings const&, dchag::comm::Mesh const&);
template AnyAggregator<double> make_tensor_parallel<double, dchag::Fused>(ModelSettings const&,
                                                                          dchag::comm::Mesh const&);
template AnyAggregator<float> make_tensor_parallel<float, dchag::Materialized>(ModelSettings const&,
                                                                               dchag::comm::Mesh const&);
template AnyAggregator<double> make_tensor_parallel<double, dchag::Materialized>(ModelSettings const&,
                                                                                 dchag::comm::Mesh const&);

} // namespace hyperspectral
