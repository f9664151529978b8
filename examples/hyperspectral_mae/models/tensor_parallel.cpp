// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/channels/tensor_parallel_aggregator.hpp>

#include "model_of.hpp"

namespace hyperspectral {

template <class T>
std::unique_ptr<Model> make_tensor_parallel(ModelSettings const& settings, dchag::comm::Mesh const& mesh) {
  using Aggregator = dchag::TensorParallelAggregator<Space, T>;
  return std::make_unique<ModelOf<Aggregator>>(Aggregator(Space(), mesh.tensor(), flat_config(settings)), settings,
                                               mesh);
}

template std::unique_ptr<Model> make_tensor_parallel<float>(ModelSettings const&, dchag::comm::Mesh const&);
template std::unique_ptr<Model> make_tensor_parallel<double>(ModelSettings const&, dchag::comm::Mesh const&);

} // namespace hyperspectral
