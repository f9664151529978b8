// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/comm/mesh.hpp>
#include <dchag/comm/pending.hpp>
#include <dchag/core/hash.hpp>
#include <dchag/layers/parameter.hpp>
#include <dchag/parallel/sharding.hpp>

#include <algorithm>
#include <array>
#include <bit>

namespace dchag::parallel::detail {

/// The numbers [range.begin, range.end) of a flat array; owns them with it.
template <class Values>
Values part(Values const& values, Range range) {
  return Values(values, std::pair(range.begin, range.end));
}

inline Range intersection(Range a, Range b) {
  std::size_t const begin = (std::max)(a.begin, b.begin);
  return {begin, (std::max)(begin, (std::min)(a.end, b.end))};
}

/// The parameters of one unit, one after the other as one flat array of `size` numbers: first those with partial
/// gradients, then the replicated, then the distributed ones, each beginning at a multiple of 64 bytes. What is
/// replicated therefore lies at the same place on all tensor-parallel ranks, and is summed there in the same order.
template <class ExecutionSpace, class T>
struct FlatUnit {
  using Values = Tensor<ExecutionSpace, T, 1>;
  static constexpr std::size_t alignment = 64 / sizeof(T);

  std::string name;
  Sharding sharding = Sharding::none;
  std::vector<Parameter<ExecutionSpace, T>*> parameters; // in the order in which they lie
  std::vector<Range> places;                             // of each
  std::size_t partial = 0;                               // [0, partial) have partial gradients
  std::size_t alike = 0;                                 // [0, alike) are the same on all tensor-parallel ranks;
                                                         // all of it, if none of them has anything of its own
  std::size_t size = 0;                                  // a multiple of the number of shards
  Range own;                                             // what this rank's shard is of it
  Values values, gradients;                              // all of it; of `full` the shard only
  bool begins_alike = false;                             // deferred, and the same on all replicas
  std::size_t last_pass = 0;                             // of this step, in which it went backward; from 1 on
  bool done = false;                                     // no pass of this step adds to its gradients any more
  bool scattered = false;                                // what they sum to over the shards is in this rank's part
  std::array<comm::Pending, 2> pending;                  // what this rank's part takes part in; goes first

  /// Finds everybody's place. `size` is not yet padded.
  void arrange() {
    auto const order = [](Parameter<ExecutionSpace, T> const* p) {
      return p->spec().partial_gradient ? 0 : p->spec().placement == Placement::replicated ? 1 : 2;
    };
    std::ranges::stable_sort(parameters, {}, order);
    for (auto const* parameter : parameters) {
      size = (size + alignment - 1) / alignment * alignment;
      places.push_back({size, size + parameter->size()});
      size += parameter->size();
      if (order(parameter) == 0) partial = size;
      if (order(parameter) <= 1) alike = size;
    }
  }

  /// Pads to a multiple of the number of shards. `size` is the largest of the tensor-parallel ranks.
  void pad(comm::Mesh const& mesh, bool sharded) {
    auto const S = sharded ? static_cast<std::size_t>(mesh.shard().size()) : 1;
    auto const s = sharded ? static_cast<std::size_t>(mesh.shard().rank()) : 0;
    bool const all_alike = mesh.tensor().size() == 1 || size == alike;
    size = (size + S - 1) / S * S;
    own = {s * (size / S), (s + 1) * (size / S)};
    if (all_alike) alike = size;
  }

  /// A number made of how the parameters begin, of 16 values of each; 0 unless all are deferred.
  std::uint64_t beginning() const {
    Hash mark;
    for (auto const* parameter : parameters) {
      if (!parameter->is_deferred()) return 0;
      std::size_t const last = parameter->size() - 1;
      if (parameter->size() > 0)
        for (std::size_t i = 0; i < 16; ++i)
          mark.add(std::bit_cast<std::uint64_t>(parameter->initial_value(last * i / 15)));
    }
    return mark.value();
  }

  /// Writes what lies in `range`: values that the parameters hold, initial ones of those that are deferred, and zeros
  /// between them, which nobody uses but all send. Shapes: numbers (range.size()).
  void write(ExecutionSpace const& exec, Range range, Values const& numbers) const {
    Kokkos::deep_copy(exec, numbers, T(0));
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      Range const held = intersection(places[i], range);
      if (held.size() == 0) continue;
      Range const run{held.begin - places[i].begin, held.end - places[i].begin};
      auto const place = part(numbers, {held.begin - range.begin, held.end - range.begin});
      if (parameters[i]->is_deferred())
        parameters[i]->write_initial(exec, run, place);
      else
        Kokkos::deep_copy(exec, place, part(parameters[i]->values(), run));
    }
  }

  /// What of this rank's part, counted from where that begins, lies in `range` of the unit.
  Range in_own(Range range) const {
    Range const held = intersection(range, own);
    return held.size() > 0 ? Range{held.begin - own.begin, held.end - own.begin} : Range{0, 0};
  }

  void wait() {
    for (auto& collective : pending) collective.wait();
  }
  void progress() {
    for (auto& collective : pending) collective.progress();
  }

  /// This rank's part, of which its optimizer knows.
  Values own_values() const { return sharding == Sharding::full ? values : part(values, own); }
  Values own_gradients() const { return sharding == Sharding::full ? gradients : part(gradients, own); }

  /// Binds all parameters to their places in two flat arrays; an empty one leaves them with nothing.
  void bind(Values const& all_values, Values const& all_gradients) const {
    for (std::size_t i = 0; i < parameters.size(); ++i)
      parameters[i]->bind(all_values.data() ? part(all_values, places[i]) : Values(),
                          all_gradients.data() ? part(all_gradients, places[i]) : Values());
  }
};

} // namespace dchag::parallel::detail
