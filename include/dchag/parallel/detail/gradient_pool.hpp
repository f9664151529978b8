// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/number.hpp>
#include <dchag/parallel/detail/flat_unit.hpp>

namespace dchag::parallel::detail {

template <class Values>
struct AddTo {
  Values sum, term; // (N)
  KOKKOS_FUNCTION void operator()(std::size_t i) const { sum(i) += term(i); }
};

template <class Values>
struct ScaleBy {
  Values values; // (N)
  typename Values::value_type factor;
  KOKKOS_FUNCTION void operator()(std::size_t i) const { values(i) *= factor; }
};

template <KokkosExecutionSpace ExecutionSpace, class F>
void for_each_number(ExecutionSpace const& exec, std::string const& label, std::size_t count, F const& f) {
  Kokkos::parallel_for(label, Kokkos::RangePolicy<ExecutionSpace, Kokkos::IndexType<std::size_t>>(exec, 0, count), f);
}

template <KokkosExecutionSpace ExecutionSpace, class Values>
void scale(ExecutionSpace const& exec, Values const& values, double factor) {
  if (!math::equal(factor, 1.0))
    for_each_number(exec, "dchag::parallel::scale_gradients", values.size(),
                    ScaleBy<Values>{values, static_cast<typename Values::value_type>(factor)});
}

/// Begins to sum the gradients of this rank's part of a unit over all ranks that hold the same. Of what tensor-parallel
/// ranks share, each of them computed all: they are summed as well, so that no rounding of one rank remains its own.
template <KokkosExecutionSpace ExecutionSpace, class T>
void start_sum_over_holders(ExecutionSpace const& exec, comm::Mesh const& mesh, FlatUnit<ExecutionSpace, T>& unit) {
  auto const start = [&](comm::Communicator const& holders, Range range) {
    auto const own = part(unit.own_gradients(), unit.in_own(range));
    return comm::start_all_reduce(exec, holders, own, comm::Reduce::sum);
  };
  bool const whole = unit.sharding == Sharding::none;
  unit.pending[0] = start(whole ? mesh.world() : mesh.holders(), {0, unit.alike});
  unit.pending[1] = start(whole ? mesh.replicas() : mesh.data(), {unit.alike, unit.size});
}

/// Two buffers from which units' gradients are summed into the ranks' shards: one is summed while the other is filled.
template <class ExecutionSpace, class T>
class GradientPool {
public:
  using Unit = FlatUnit<ExecutionSpace, T>;
  using Values = typename Unit::Values;

  /// `size` of the largest unit with sharded gradients, `shard_size` of the largest shard.
  void reserve(ExecutionSpace const& exec, std::size_t size, std::size_t shard_size) {
    for (auto& slot : m_slots) {
      if (size > 0) slot.whole = allocate<T>(exec, "dchag::parallel::whole_gradients", Extents<1>{size});
      if (shard_size > 0) slot.sum = allocate<T>(exec, "dchag::parallel::summed_gradients", Extents<1>{shard_size});
    }
  }

  /// Room for the whole gradients of a unit that holds only its shard of them: zeros.
  Values acquire(ExecutionSpace const& exec, Unit const& unit) {
    auto& slot = free_slot(exec);
    auto const whole = part(slot.whole, Range{0, unit.size});
    Kokkos::deep_copy(exec, whole, T(0));
    return whole;
  }

  /// Begins to sum a unit's gradients, `weight` times, over the shards: those last acquired, if it holds a shard of
  /// them only. `last`: of the step; the unit is `scattered` when their sum is in its place.
  void start(ExecutionSpace const& exec, comm::Mesh const& mesh, Unit& unit, double weight, bool last) {
    if (unit.size == 0) {
      unit.scattered = last;
      return;
    }
    auto& slot = free_slot(exec);
    auto const whole = unit.sharding == Sharding::full ? part(slot.whole, Range{0, unit.size}) : unit.gradients;
    scale(exec, whole, weight);
    slot.unit = &unit;
    slot.last = last;
    slot.pending = comm::start_reduce_scatter(exec, mesh.shard(), whole, part(slot.sum, Range{0, unit.own.size()}));
    m_next = 1 - m_next;
  }

  /// Puts what was begun in its place.
  void finish(ExecutionSpace const& exec) {
    for (std::size_t i = 0; i < 2; ++i) { // in the order of the beginnings
      free_slot(exec);
      m_next = 1 - m_next;
    }
  }

  void progress() {
    for (auto& slot : m_slots) slot.pending.progress();
  }
  /// Waits for what was begun and leaves it where it is.
  void drop() {
    for (auto& slot : m_slots) {
      slot.pending.wait();
      slot.unit = nullptr;
    }
  }

  /// What a request may still write to.
  template <class F>
  void for_each_buffer(F const& f) const {
    for (auto const& slot : m_slots) {
      f(slot.whole);
      f(slot.sum);
    }
  }

private:
  struct Slot {
    Values whole, sum;
    Unit* unit = nullptr;
    bool last = false;
    comm::Pending pending; // goes before the buffers
  };

  // The slot that was begun longest ago. What it summed goes to the unit's shard.
  Slot& free_slot(ExecutionSpace const& exec) {
    auto& slot = m_slots[m_next];
    if (slot.unit == nullptr) return slot;
    slot.pending.wait();
    auto& unit = *std::exchange(slot.unit, nullptr);
    auto const sum = part(slot.sum, Range{0, unit.own.size()});
    auto const own = unit.own_gradients();
    if (unit.sharding == Sharding::full)
      for_each_number(exec, "dchag::parallel::add_gradients", own.size(), AddTo<Values>{own, sum});
    else
      Kokkos::deep_copy(exec, own, sum);
    if (slot.last) unit.scattered = true;
    return slot;
  }

  Slot m_slots[2];
  std::size_t m_next = 0;
};

} // namespace dchag::parallel::detail
