// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "aggregators.hpp"
#include "model_name.hpp"
#include "model_of.hpp"

namespace hyperspectral {
namespace {

template <class T, class Form>
AnyAggregator<T> make_aggregator(ModelName const& name, ModelSettings const& settings, dchag::comm::Mesh const& mesh) {
  switch (name.kind) {
  case ModelName::flat:
    return make_flat<T, Form>(settings, mesh);
  case ModelName::tensor:
    return make_tensor_parallel<T, Form>(settings, mesh);
  case ModelName::tokens:
    return make_distributed_tokens<T, Form>(settings, mesh);
  case ModelName::cross_attention:
    return make_cross_attention<T, Form>(name.fan_out, name.groups, settings, mesh);
  default:
    return make_linear<T, Form>(name.fan_out, name.groups, settings, mesh);
  }
}

template <class T>
std::unique_ptr<Model> make(ModelName const& name, ModelSettings const& settings, dchag::comm::Mesh const& mesh) {
  auto aggregator = dchag::deferred([&] {
    return settings.materialized ? make_aggregator<T, dchag::Materialized>(name, settings, mesh)
                                 : make_aggregator<T, dchag::Fused>(name, settings, mesh);
  });
  return std::make_unique<ModelOf<T>>(std::move(aggregator), settings, mesh);
}

} // namespace

std::unique_ptr<Model> make_model(std::string const& name, ModelSettings const& settings,
                                  dchag::comm::Mesh const& mesh) {
  auto const parts = read_model_name(name);
  dchag::require<dchag::Error>(parts.has_value(), "make_model: '", name,
                               "' names no model, expected one of: ", model_names_help());
  return settings.precision == Precision::single ? make<float>(*parts, settings, mesh)
                                                 : make<double>(*parts, settings, mesh);
}

Model::Visible draw_mask(std::size_t samples, std::size_t positions, double ratio, std::uint64_t seed,
                         std::uint64_t draw) {
  using Mask = dchag::PositionMask<Kokkos::DefaultHostExecutionSpace, float>;
  Mask mask;
  mask.draw(Kokkos::DefaultHostExecutionSpace(), samples, positions, ratio, Mask::Loss::everywhere, seed, draw);
  Model::Visible visible;
  for (std::size_t b = 0; b < samples; ++b) {
    auto const list = mask.host_visible(b);
    visible.emplace_back(list.begin(), list.end());
  }
  return visible;
}

} // namespace hyperspectral
