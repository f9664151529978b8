// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/layers/unit.hpp>
#include <dchag/parallel/detail/flat_unit.hpp>

#include <map>

/// \file
/// How a model's parameters become flat units, and what a rank owns of them.
namespace dchag::parallel::detail {

template <class Model>
using FlatUnits = std::vector<FlatUnit<typename Model::execution_space, typename Model::value_type>>;

/// The units in the model's order, and last what none of them names.
/// Throws: Error if two name the same parameter.
template <class Model>
FlatUnits<Model> find_units(Model& model, Sharding sharding) {
  FlatUnits<Model> units;
  std::map<void const*, std::string> named;
  model.for_each_unit([&](Unit&, auto& layer) {
    auto& unit = units.emplace_back();
    unit.name = concat("unit", units.size() - 1);
    unit.sharding = sharding;
    layer.for_each_parameter([&](auto& parameter) {
      bool const first = named.emplace(&parameter, unit.name).second;
      require<Error>(first, "DataParallel: ", parameter.name(), " belongs to ", named[&parameter], " and to ",
                     unit.name, ", expected one unit");
      unit.parameters.push_back(&parameter);
    });
  });
  auto& rest = units.emplace_back();
  rest.name = "rest";
  rest.sharding = sharding == Sharding::full ? Sharding::optimizer : sharding;
  model.for_each_parameter([&](auto& parameter) {
    if (named.count(&parameter) == 0) rest.parameters.push_back(&parameter);
  });
  return units;
}

/// Gives every parameter its place and every unit its size, the same on all ranks.
/// Collective: all ranks of the mesh. Throws: CommError, Error; see `DataParallel`.
template <class Units>
void arrange(comm::Mesh const& mesh, Sharding sharding, Units& units) {
  comm::collectively(mesh.world(), [&] { // ranks may have deferred different parameters
    for (auto const& unit : units)
      for (auto const* parameter : unit.parameters) {
        require<Error>(parameter->size() == parameter->spec().box_size(), "DataParallel: ", parameter->name(), " has ",
                       parameter->size(), " of ", parameter->spec().box_size(), " values, expected all");
        require<Error>(parameter->is_deferred() || parameter->values().size() == parameter->size(),
                       "DataParallel: ", parameter->name(), " holds ", parameter->values().size(), " values, expected ",
                       parameter->size());
      }
  });
  std::vector<comm::Setting> replicas{{"sharding", static_cast<int>(sharding)}};
  std::vector<comm::Setting> tensor{{"the number of units", units.size() - 1}};
  std::vector<std::size_t> sizes;
  for (auto& unit : units) {
    for (auto const* parameter : unit.parameters)
      replicas.emplace_back(concat(parameter->name(), " of ", unit.name), parameter->size());
    unit.arrange();
    tensor.emplace_back(concat("values with partial gradients of ", unit.name), unit.partial);
    tensor.emplace_back(concat("replicated values of ", unit.name), unit.alike);
    for (std::size_t i = 0; i < unit.places.size() && unit.places[i].end <= unit.alike; ++i)
      tensor.emplace_back(concat("replicated parameter ", i, " of ", unit.name), unit.parameters[i]->name());
    sizes.push_back(unit.size);
  }
  // what differs within one group must not leave the others waiting
  comm::agree_between_groups(mesh.world(), [&] { comm::require_same(mesh.replicas(), "DataParallel", replicas); });
  comm::agree_between_groups(mesh.world(), [&] { comm::require_same(mesh.tensor(), "DataParallel", tensor); });
  sizes = comm::all_reduce(mesh.tensor(), sizes, comm::Reduce::max);
  for (std::size_t i = 0; i < units.size(); ++i) {
    units[i].size = sizes[i];
    units[i].pad(mesh, sharding != Sharding::none);
  }
}

/// Finds the units that begin the same on all replicas, by nothing but the initial values of deferred parameters: each
/// rank can fill its shard of them by itself.
/// Collective: one all-reduce over the replicas of two numbers for each unit.
template <class Units>
void compare_beginnings(comm::Mesh const& mesh, Units& units) {
  std::vector<std::size_t> marks; // of each unit, and its complement
  for (auto const& unit : units) {
    marks.push_back(unit.beginning());
    marks.push_back(~marks.back());
  }
  auto const largest = comm::all_reduce(mesh.replicas(), marks, comm::Reduce::max);
  for (std::size_t i = 0; i < units.size(); ++i)
    units[i].begins_alike = largest[2 * i] == ~largest[2 * i + 1] && largest[2 * i] != 0;
}

/// Gives the unit arrays of its own and fills them with the values of the first replica, of which those that
/// tensor-parallel ranks share are the first one's: those that the parameters hold, or initial ones. `scratch` has room
/// for all of a unit that will hold a shard only.
/// Collective: one broadcast of the unit over the replicas, or, if it is sharded and begins alike, of the shard over
/// the copies; and one of the values that are shared over `mesh.tensor()`.
template <class ExecutionSpace, class T>
void take_over(ExecutionSpace const& exec, comm::Mesh const& mesh, FlatUnit<ExecutionSpace, T>& unit,
               Tensor<ExecutionSpace, T, 1> const& scratch) {
  using Values = Tensor<ExecutionSpace, T, 1>;
  bool const sharded = unit.sharding == Sharding::full;
  Extents<1> const held{sharded ? unit.own.size() : unit.size};
  unit.values = allocate<T>(exec, "dchag::parameter::" + unit.name, held);
  unit.gradients = allocate<T>(exec, "dchag::gradient::" + unit.name, held);
  Kokkos::deep_copy(exec, unit.gradients, T(0));
  if (sharded && unit.begins_alike) {
    if (mesh.data().rank() == 0) unit.write(exec, unit.own, unit.values);
    comm::broadcast(exec, mesh.data(), unit.values, 0);
  } else if (unit.size > 0) {
    Values const whole = sharded ? part(scratch, Range{0, unit.size}) : unit.values;
    if (mesh.replicas().rank() == 0) unit.write(exec, {0, unit.size}, whole);
    comm::broadcast(exec, mesh.replicas(), whole, 0);
    if (sharded) Kokkos::deep_copy(exec, unit.values, part(whole, unit.own));
  }
  // Initial values are computed, and kinds of processors may round them differently.
  Range const shared = sharded ? unit.in_own({0, unit.alike}) : Range{0, unit.alike};
  if (shared.size() > 0) comm::broadcast(exec, mesh.tensor(), part(unit.values, shared), 0);
  exec.fence(); // what the parameters held is freed
  unit.bind(sharded ? Values() : unit.values, sharded ? Values() : unit.gradients);
}

/// This rank's parts of the parameters, in the model's order; none of those of which it owns nothing.
template <class Model>
auto own_parts(Model& model, FlatUnits<Model> const& units) {
  using Part = Parameter<typename Model::execution_space, typename Model::value_type>;
  std::map<void const*, Part> parts;
  for (auto const& unit : units)
    for (std::size_t i = 0; i < unit.places.size(); ++i) {
      Range const place = unit.places[i];
      Range const held = intersection(place, unit.own);
      if (held.size() == 0) continue;
      auto spec = unit.parameters[i]->spec();
      spec.partial_gradient = false; // they are summed here
      if (held != place) spec.run = {held.begin - place.begin, held.end - place.begin};
      Range const own{held.begin - unit.own.begin, held.end - unit.own.begin};
      parts.emplace(unit.parameters[i],
                    Part(std::move(spec), part(unit.own_values(), own), part(unit.own_gradients(), own)));
    }
  std::vector<Part> ordered;
  model.for_each_parameter([&](auto& parameter) {
    if (auto const found = parts.find(&parameter); found != parts.end()) ordered.push_back(std::move(found->second));
  });
  return ordered;
}

} // namespace dchag::parallel::detail
