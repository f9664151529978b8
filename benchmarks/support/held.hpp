// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "tests/support/allocations.hpp"

namespace dchag::bench {

/// What is held of all that was allocated since the count began, without scratch: after a forward pass that began with
/// an empty context, what is kept for the backward pass.
inline std::size_t bytes_held(test::AllocationCounter const& counter) {
  auto const workspace = counter.by_label().find("dchag::core::workspace");
  return counter.live() - (workspace == counter.by_label().end() ? 0 : workspace->second.live);
}

} // namespace dchag::bench
