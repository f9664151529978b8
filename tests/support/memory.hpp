// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <support/allocations.hpp>

namespace dchag::test {

/// Bytes that are held now, by what they are for, as the labels of their Views say.
struct MemoryByName {
  std::size_t parameters = 0;  ///< dchag::parameter::
  std::size_t gradients = 0;   ///< dchag::gradient::
  std::size_t optimizer = 0;   ///< dchag::train::
  std::size_t activations = 0; ///< contexts, masks: whatever else begins with dchag::, and what shared blocks keep
  std::size_t workspace = 0;   ///< dchag::core::workspace
  std::size_t buffers = 0;     ///< dchag::parallel::, dchag::comm::
  std::size_t other = 0;       ///< of tests, benchmarks and applications

  explicit MemoryByName(AllocationCounter const& counter) {
    for (auto const& [label, sum] : counter.by_label()) *place(label) += sum.live;
  }

  std::size_t total() const { return parameters + gradients + optimizer + activations + workspace + buffers + other; }

private:
  std::size_t* place(std::string const& label) {
    auto const begins = [&](char const* prefix) { return label.rfind(prefix, 0) == 0; };
    if (begins("dchag::parameter::")) return &parameters;
    if (begins("dchag::gradient::")) return &gradients;
    if (begins("dchag::train::")) return &optimizer;
    if (begins("dchag::core::workspace")) return &workspace;
    if (begins("dchag::parallel::block_")) return &activations;
    if (begins("dchag::parallel::") || begins("dchag::comm::")) return &buffers;
    if (!begins("dchag::") || begins("dchag::test::") || begins("dchag::bench::")) return &other;
    return &activations;
  }
};

} // namespace dchag::test
