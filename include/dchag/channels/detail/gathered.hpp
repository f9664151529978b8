// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/channels/image.hpp>
#include <dchag/comm/collectives.hpp>

namespace dchag::detail {

/// Tokens (slots, N, D) of which each rank makes an equal share, gathered in place. Slots whose channels are absent
/// hold nothing: what follows reads `present()`, the others closed up, which is the gathered memory itself if none is
/// absent.
template <class ExecutionSpace, class T>
class GatheredTokens {
public:
  using Index = Tensor<ExecutionSpace, std::size_t, 1>;

  /// `present` are the slots with a token, ascending; `own` are the slots of this rank.
  void plan(ExecutionSpace const& exec, std::size_t slot_count, std::vector<std::size_t> present, Range own) {
    m_slots = slot_count;
    m_present = std::move(present);
    auto const below = [&](std::size_t slot) {
      return static_cast<std::size_t>(std::ranges::lower_bound(m_present, slot) - m_present.begin());
    };
    m_own_present = {below(own.begin), below(own.end)};
    m_members = TokenPlan<ExecutionSpace>::to_device(exec, m_present);
    m_closed_up = {};
  }

  void reserve_for(ExecutionSpace const& exec, std::size_t N, std::size_t D) {
    reserve(exec, m_all, "dchag::channels::gathered", Extents<3>{m_slots, N, D});
    if (m_present.size() < m_slots)
      reserve(exec, m_closed_up, "dchag::channels::gathered_present", Extents<3>{m_present.size(), N, D});
  }

  /// Collective: one AllGather of the rank's share of the slots.
  void all_gather(ExecutionSpace const& exec, comm::Communicator const& communicator, Range own) {
    comm::all_gather(exec, communicator, slices(m_all, own.begin, own.end), m_all);
    if (m_present.size() < m_slots)
      for (std::size_t i = 0; i < m_present.size(); ++i)
        Kokkos::deep_copy(exec, slice(m_closed_up, i), slice(m_all, m_present[i]));
  }

  Tensor<ExecutionSpace, T, 3> const& all() const { return m_all; }
  Tensor<ExecutionSpace, T, 3> const& present() const { return m_present.size() < m_slots ? m_closed_up : m_all; }
  Index const& members() const { return m_members; }  ///< the slots of the present tokens, on the device
  Range own_present() const { return m_own_present; } ///< this rank's tokens among the present ones

private:
  std::size_t m_slots = 0;
  std::vector<std::size_t> m_present;
  Range m_own_present;
  Index m_members;
  Tensor<ExecutionSpace, T, 3> m_all;
  Tensor<ExecutionSpace, T, 3> m_closed_up;
};

} // namespace dchag::detail
