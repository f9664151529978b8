// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "aggregators.hpp"
#include "model_of.hpp"

#include <charconv>
#include <optional>

namespace hyperspectral {
namespace {

/// "c4@2": cross-attention trees with 4 tokens in the middle, 2 groups.
struct ModelName {
  enum Kind { flat, tensor, tokens, cross_attention, linear };
  Kind kind;
  std::size_t fan_out = 0;
  std::size_t groups = 1;
};

std::optional<std::size_t> number(std::string_view text) {
  std::size_t value = 0;
  auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<ModelName> read_name(std::string_view name) {
  if (name == "flat") return ModelName{ModelName::flat};
  if (name == "tensor") return ModelName{ModelName::tensor};
  if (name == "tokens") return ModelName{ModelName::tokens};
  auto const at = name.find('@');
  if (name.size() < 4 || at == std::string_view::npos || (name[0] != 'c' && name[0] != 'l')) return std::nullopt;
  auto const fan_out = number(name.substr(1, at - 1));
  auto const groups = number(name.substr(at + 1));
  bool const compiled = fan_out && (*fan_out == 0 || *fan_out == 2 || *fan_out == 4 || *fan_out == 8);
  if (!compiled || !groups || *groups == 0) return std::nullopt;
  return ModelName{name[0] == 'c' ? ModelName::cross_attention : ModelName::linear, *fan_out, *groups};
}

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

std::string model_names_help() {
  return "flat: one cross-attention over all channels, shared out exactly among any number of ranks; "
         "tensor: the same with its heads shared out, every rank making all "
         "tokens; tokens: the same with the tokenization distributed; cN@G, lN@G: D-CHAG -C, -L with G groups and "
         "TreeN "
         "in each, N = 0, 2, 4 or 8";
}

void check_model_name(std::string const& name) {
  dchag::require<dchag::Error>(read_name(name).has_value(), "--model is '", name,
                               "', expected one of: ", model_names_help());
}

std::unique_ptr<Model> make_model(std::string const& name, ModelSettings const& settings,
                                  dchag::comm::Mesh const& mesh) {
  check_model_name(name);
  auto const parts = *read_name(name);
  return settings.precision == Precision::single ? make<float>(parts, settings, mesh)
                                                 : make<double>(parts, settings, mesh);
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
