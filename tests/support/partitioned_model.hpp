// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/comm/mesh.hpp>

#include <support/parameters.hpp>

namespace dchag::test {

/// Parameters cut in every way that a mesh cuts them: boxes along each axis by tensor parallelism, runs of the boxes by
/// sharding, modules that only some ranks have, copies. The same model for every mesh.
template <class ExecutionSpace, class T>
struct PartitionedModel {
  using value_type = T;

  PartitionedModel(ExecutionSpace const& exec, comm::MeshShape shape, int rank, std::size_t scale = 1) {
    auto const tensor = static_cast<std::size_t>(rank % shape.tensor);
    auto const tensors = static_cast<std::size_t>(shape.tensor);
    auto const shard = static_cast<std::size_t>(rank / shape.tensor % shape.shard);
    auto const add = [&](std::string const& name, std::vector<std::size_t> const& whole, std::size_t axis) {
      ParameterSpec spec{.name = name, .shape = whole, .decay = true};
      if (axis < whole.size()) { // more parts than indices leave a rank with nothing of it
        auto const part = even_part(whole[axis], tensors, tensor);
        if (part.size() == 0) return;
        spec.placement = Placement::distributed;
        spec.whole = whole;
        spec.begin.assign(whole.size(), 0);
        spec.begin[axis] = part.begin;
        spec.shape[axis] = part.size();
      }
      auto const run = even_part(spec.box_size(), static_cast<std::size_t>(shape.shard), shard);
      if (run.size() == 0) { // bound to nothing
        spec.run = {0, spec.box_size()};
        parameters.emplace_back(spec, typename Parameter<ExecutionSpace, T>::Values(),
                                typename Parameter<ExecutionSpace, T>::Values());
        return;
      }
      if (shape.shard > 1) spec.run = run;
      parameters.emplace_back(exec, spec, initial::uniform(3, name, 1));
    };
    add("rows", {6 * scale, 8}, 0);
    add("columns", {6 * scale, 8}, 1);
    add("uneven", {5, 3, 4}, 0);
    add("middle", {3, 4, 6}, 1);
    add("last", {3, 2, 5}, 2);
    add("bias", {7}, 9);
    add("short", {2}, 9);
    add("matrix", {4, 5}, 9);
    for (std::size_t group = 0; group < 4; ++group)
      if (even_part(4, tensors, tensor).contains(group)) add("group" + std::to_string(group) + ".query", {9}, 9);
  }

  template <class F>
  void for_each_parameter(F&& f) {
    for (auto& parameter : parameters) f(parameter);
  }

  std::vector<Parameter<ExecutionSpace, T>> parameters;
};

/// All meshes of as many ranks.
inline std::vector<comm::MeshShape> meshes_of(int ranks) {
  std::vector<comm::MeshShape> meshes;
  for (int tensor = 1; tensor <= ranks; ++tensor)
    for (int shard = 1; tensor * shard <= ranks; ++shard)
      if (ranks % (tensor * shard) == 0) meshes.push_back({tensor, shard, ranks / (tensor * shard)});
  return meshes;
}

/// Gives each value a number that depends on its name, its place in the whole and the seed.
template <class Model>
void fill_values(Model& model, std::uint64_t seed) {
  model.for_each_parameter([&](auto& parameter) {
    Random const random(seed, parameter.name());
    std::vector<double> values(parameter.values().extent(0));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = random.normal(index_in_whole(parameter.spec(), i));
    assign(parameter.values(), values);
  });
}

/// The same for the gradients.
template <class Model>
void fill_gradients(Model& model, std::uint64_t seed) {
  model.for_each_parameter([&](auto& parameter) {
    Random const random(seed, parameter.name());
    std::vector<double> values(parameter.gradients().extent(0));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = random.normal(index_in_whole(parameter.spec(), i));
    assign(parameter.gradients(), values);
  });
}

/// Values and moments by name.
template <class Model, class Optimizer>
Numbers state_of(Model& model, Optimizer const& optimizer) {
  auto numbers = values_of(model);
  optimizer.for_each_state([&](ParameterSpec const& spec, auto const& first, auto const& second) {
    numbers["first " + spec.name] = flat(first);
    numbers["second " + spec.name] = flat(second);
  });
  return numbers;
}

} // namespace dchag::test
