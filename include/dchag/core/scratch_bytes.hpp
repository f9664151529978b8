// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>

namespace dchag {

/// What the tensors that are taken from a workspace are aligned to, in bytes.
inline constexpr std::size_t scratch_alignment = 128;

/// Bytes of a workspace that a tensor of so many bytes takes.
constexpr std::size_t scratch_bytes(std::size_t bytes) {
  return (bytes + scratch_alignment - 1) / scratch_alignment * scratch_alignment;
}

/// Bytes that tensors of these many numbers of T, each so many times in one tensor, take together.
template <class T, std::size_t Count>
constexpr std::size_t scratch_bytes(std::array<std::size_t, Count> const& numbers, std::size_t times = 1) {
  std::size_t bytes = 0;
  for (auto n : numbers) bytes += scratch_bytes(times * n * sizeof(T));
  return bytes;
}

/// The most bytes of a workspace that the two passes of something hold at a time.
struct PassBytes {
  std::size_t forward = 0;
  std::size_t backward = 0;
};

} // namespace dchag
