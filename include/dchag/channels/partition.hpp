// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/error.hpp>
#include <dchag/core/range.hpp>

namespace dchag {

/// Who owns which channels: C channels in G contiguous groups, which belong to the model, on P ranks, which belong to
/// the run. Any G up to C, any P that divides G.
///
///     C 10, G 4, P 2:   rank 0: group 0 [0 1 2] group 1 [3 4 5]    rank 1: group 2 [6 7] group 3 [8 9]
class Partition {
public:
  /// Throws: ShapeError, the same on every rank.
  Partition(std::size_t channels, std::size_t groups, std::size_t ranks)
      : m_channels(channels), m_groups(groups), m_ranks(ranks) {
    require(channels > 0, "Partition: there are no channels");
    require(groups > 0 && groups <= channels, "Partition: groups G = ", groups,
            ", expected 1 to the channels C = ", channels);
    require(ranks > 0 && groups % ranks == 0, "Partition: ranks P = ", ranks, " do not divide the groups G = ", groups);
  }

  std::size_t channels() const { return m_channels; }
  std::size_t groups() const { return m_groups; }
  std::size_t ranks() const { return m_ranks; }
  std::size_t groups_per_rank() const { return m_groups / m_ranks; }

  /// The channels of a group.
  Range group(std::size_t group) const { return even_part(m_channels, m_groups, group); }
  /// The groups of a rank.
  Range groups_of(std::size_t rank) const { return {rank * groups_per_rank(), (rank + 1) * groups_per_rank()}; }
  /// The channels of a rank.
  Range channels_of(std::size_t rank) const {
    return {group(groups_of(rank).begin).begin, group(groups_of(rank).end - 1).end};
  }

private:
  std::size_t m_channels, m_groups, m_ranks;
};

} // namespace dchag
