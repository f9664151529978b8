// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/scratch_bytes.hpp>

namespace dchag::plan::detail {

/// Counts bytes of numbers of one size.
struct Bytes {
  std::size_t number;

  std::size_t of(std::size_t numbers) const { return numbers * number; }

  /// Of a workspace, for tensors of so many numbers each.
  template <class... Numbers>
  std::size_t taken(Numbers... numbers) const {
    return (scratch_bytes(numbers * number) + ...);
  }
};

/// Indices on the device.
inline std::size_t index_bytes(std::size_t count) {
  return count * sizeof(std::size_t);
}

/// Of two things done one after the other.
inline PassBytes larger(PassBytes const& a, PassBytes const& b) {
  return {a.forward > b.forward ? a.forward : b.forward, a.backward > b.backward ? a.backward : b.backward};
}

} // namespace dchag::plan::detail
