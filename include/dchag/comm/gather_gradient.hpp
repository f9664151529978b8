// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/comm/collectives.hpp>

namespace dchag::comm {

/// The gradient of an all-gather when everything after it is replicated: every rank computes the same loss from the
/// gathered slices, so every rank holds the whole gradient of that one loss already, and takes its slice of it. Summing
/// here would count the loss P times.
struct OwnSlice {};

/// The gradient of an all-gather when each rank's `d_gathered` is only its part of the gradient, as when the ranks go
/// on with different positions, heads or samples and the loss is the sum of theirs: the parts are added up.
struct ReduceScatter {};

template <class Policy>
concept GatherGradient = std::same_as<Policy, OwnSlice> || std::same_as<Policy, ReduceScatter>;

/// The adjoint of `all_gather`. `d_own` is overwritten.
/// Shapes: d_gathered (P n, ...), d_own (n, ...).
/// Collective: OwnSlice sends nothing, and copies nothing if `d_own` is this rank's slice of `d_gathered`; otherwise it
/// is a copy ordered on `exec`. ReduceScatter is one `reduce_scatter`, for which `d_own` needs memory of its own.
/// Throws: ShapeError, CommError.
template <GatherGradient Policy, KokkosExecutionSpace ExecutionSpace, class Gathered, class Own>
void all_gather_backward(Policy, ExecutionSpace const& exec, Communicator const& communicator,
                         Gathered const& d_gathered, Own const& d_own) {
  detail::require_slices("all_gather_backward", communicator, "d_own", d_own, "d_gathered", d_gathered);
  if constexpr (std::same_as<Policy, ReduceScatter>) {
    reduce_scatter(exec, communicator, d_gathered, d_own);
  } else {
    auto const place = detail::own_slice(communicator, d_gathered);
    if (d_own.data() != place.data()) Kokkos::deep_copy(exec, detail::flat(d_own), place);
  }
}

} // namespace dchag::comm
