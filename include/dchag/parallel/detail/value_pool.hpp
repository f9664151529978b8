// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/parallel/detail/flat_unit.hpp>

namespace dchag::parallel::detail {

/// Two buffers of the largest unit in which units' values become whole: one is used while the other is filled. What a
/// buffer holds stays good until the values change or another unit takes the buffer.
template <class ExecutionSpace, class T>
class ValuePool {
public:
  using Unit = FlatUnit<ExecutionSpace, T>;
  using Values = typename Unit::Values;

  void reserve(ExecutionSpace const& exec, std::size_t size, std::size_t buffers) {
    m_slots.resize(std::min<std::size_t>(buffers, 2));
    for (auto& slot : m_slots) slot.buffer = allocate<T>(exec, "dchag::parallel::gathered_values", Extents<1>{size});
  }

  /// The whole values of `unit`; begins to gather those of `next`, if there is one, in the other buffer.
  Values acquire(ExecutionSpace const& exec, comm::Communicator const& shard, Unit const& unit, Unit const* next) {
    if (unit.size == 0) return Values();
    std::size_t slot = find(unit);
    if (slot == m_slots.size()) start(exec, shard, unit, slot = other());
    m_slots[slot].pending.wait();
    m_last = slot;
    if (next != nullptr && next->size > 0 && find(*next) == m_slots.size() && m_slots.size() > 1)
      start(exec, shard, *next, other());
    return part(m_slots[slot].buffer, Range{0, unit.size});
  }

  void progress() {
    for (auto& slot : m_slots) slot.pending.progress();
  }
  void wait() {
    for (auto& slot : m_slots) slot.pending.wait();
  }
  /// Nothing is there any more: the values have changed.
  void forget() {
    wait();
    for (auto& slot : m_slots) slot.unit = nullptr;
  }

  /// Room for the largest unit, for use before anything is gathered.
  Values scratch() const { return m_slots.empty() ? Values() : m_slots.front().buffer; }

  /// What a request may still write to.
  template <class F>
  void for_each_buffer(F const& f) const {
    for (auto const& slot : m_slots) f(slot.buffer);
  }

private:
  struct Slot {
    Values buffer;
    Unit const* unit = nullptr;
    comm::Pending pending; // goes before the buffer
  };

  std::size_t find(Unit const& unit) const {
    std::size_t slot = 0;
    while (slot < m_slots.size() && m_slots[slot].unit != &unit) ++slot;
    return slot;
  }
  std::size_t other() const { return m_slots.size() - 1 - m_last; }

  void start(ExecutionSpace const& exec, comm::Communicator const& shard, Unit const& unit, std::size_t index) {
    auto& slot = m_slots[index];
    slot.pending.wait();
    slot.unit = &unit;
    slot.pending = comm::start_all_gather(exec, shard, unit.values, part(slot.buffer, Range{0, unit.size}));
  }

  std::vector<Slot> m_slots;
  std::size_t m_last = 0; // the buffer that was used last
};

} // namespace dchag::parallel::detail
