// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <Kokkos_Core.hpp>

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>

namespace dchag::test {

/// Counts what Kokkos allocates while it lives, in all memory spaces. Counters may be nested, each sees its own scope.
/// Memory that was there before does not count, not even when it is freed. One host thread.
class AllocationCounter {
public:
  struct Sum {
    std::size_t number = 0;
    std::size_t bytes = 0;
    std::size_t live = 0; ///< bytes held now
  };

  AllocationCounter() : m_outer(s_innermost), m_callbacks(Kokkos::Tools::Experimental::get_callbacks()) {
    s_innermost = this;
    Kokkos::Tools::Experimental::set_allocate_data_callback(&on_allocate);
    Kokkos::Tools::Experimental::set_deallocate_data_callback(&on_deallocate);
  }
  AllocationCounter(AllocationCounter const&) = delete;
  AllocationCounter& operator=(AllocationCounter const&) = delete;
  ~AllocationCounter() {
    Kokkos::Tools::Experimental::set_callbacks(m_callbacks);
    s_innermost = m_outer;
  }

  /// All allocations since the beginning, freed or not.
  std::size_t number() const { return m_all.number; }
  std::size_t bytes() const { return m_all.bytes; }

  /// Bytes held now, and the most that were held at one time.
  std::size_t live() const { return m_all.live; }
  std::size_t peak() const { return m_peak; }

  /// number(), bytes() and live() by the label of the View.
  std::map<std::string, Sum> const& by_label() const { return m_by_label; }

  /// The same of all labels that begin with this.
  Sum of_prefix(std::string const& prefix) const {
    Sum total;
    for (auto found = m_by_label.lower_bound(prefix); found != m_by_label.end(); ++found) {
      if (found->first.compare(0, prefix.size(), prefix) != 0) break;
      total.number += found->second.number;
      total.bytes += found->second.bytes;
      total.live += found->second.live;
    }
    return total;
  }

private:
  using Handle = Kokkos::Tools::SpaceHandle;

  static void on_allocate(Handle const, char const* label, void const* data, std::uint64_t bytes) {
    for (auto* counter = s_innermost; counter != nullptr; counter = counter->m_outer) counter->add(label, data, bytes);
  }
  static void on_deallocate(Handle const, char const*, void const* data, std::uint64_t) {
    for (auto* counter = s_innermost; counter != nullptr; counter = counter->m_outer) counter->remove(data);
  }

  struct Held {
    Sum* of_label;
    std::size_t bytes;
  };

  void add(char const* label, void const* data, std::size_t bytes) {
    Sum* const of_label = &m_by_label[label];
    for (Sum* sum : {&m_all, of_label}) {
      ++sum->number;
      sum->bytes += bytes;
      sum->live += bytes;
    }
    m_held[data] = {of_label, bytes};
    m_peak = std::max(m_peak, m_all.live);
  }
  void remove(void const* data) {
    auto const found = m_held.find(data);
    if (found == m_held.end()) return;
    for (Sum* sum : {&m_all, found->second.of_label}) sum->live -= found->second.bytes;
    m_held.erase(found);
  }

  inline static AllocationCounter* s_innermost = nullptr;

  AllocationCounter* m_outer;
  Kokkos::Tools::Experimental::EventSet m_callbacks;
  Sum m_all;
  std::size_t m_peak = 0;
  std::map<std::string, Sum> m_by_label;
  std::map<void const*, Held> m_held;
};

} // namespace dchag::test
