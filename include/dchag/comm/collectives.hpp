// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/comm/detail/pointers.hpp>
#include <dchag/comm/detail/staging.hpp>
#include <dchag/core/check.hpp>

#include <vector>

/// \file
/// Collectives on contiguous Views. All ranks of the communicator call them, in the same order, with the same extents.
/// Work on `exec` that is before them is waited for, and on return the result is there. One rank alone sends nothing:
/// what is left is at most a copy, ordered on `exec`, without a call of MPI.
///
/// A View that the host cannot reach is handed to MPI as it is if DCHAG_GPU_AWARE_MPI is defined, otherwise through
/// host memory that the communicator keeps. The maximum and minimum of unsigned numbers always take the second way: the
/// comparison is ours, on the host, because that of some MPIs takes them for signed ones.
namespace dchag::comm {

namespace detail {
template <class View>
void require_contiguous(char const* where, char const* what, View const& view) {
  require(view.span_is_contiguous(), where, ": ", what, " ", shape_text(extents_of(view)), " is not contiguous");
}

/// The leading axis of `whole` must be P times that of `own`, all others the same.
template <class Own, class Whole>
void require_slices(char const* where, Communicator const& communicator, char const* own_name, Own const& own,
                    char const* whole_name, Whole const& whole) {
  static_assert(std::is_same_v<typename Own::non_const_value_type, typename Whole::non_const_value_type>,
                "collective: the Views hold different types");
  static_assert(std::size_t{Own::rank} == std::size_t{Whole::rank} && std::size_t{Own::rank} >= 1,
                "collective: the Views need the same number of axes, at least one");
  static_assert(std::is_same_v<typename Own::memory_space, typename Whole::memory_space>,
                "collective: the Views lie in different memory spaces");
  static_assert(std::is_same_v<typename Own::array_layout, Kokkos::LayoutRight> &&
                    std::is_same_v<typename Whole::array_layout, Kokkos::LayoutRight>,
                "collective: needs LayoutRight views, whose leading axis can be cut into slices");
  auto expected = extents_of(own);
  expected[0] *= static_cast<std::size_t>(communicator.size());
  require(extents_of(whole) == expected, where, ": ", whole_name, " is ", shape_text(extents_of(whole)), ", expected ",
          shape_text(expected), " (", own_name, " ", shape_text(extents_of(own)),
          " on each of P = ", communicator.size(), " ranks)");
  require_contiguous(where, own_name, own);
  require_contiguous(where, whole_name, whole);
}

template <class Whole, class Own>
void require_apart(char const* where, Whole const& whole, Own const& own) {
  bool const apart = own.data() + own.size() <= whole.data() || whole.data() + whole.size() <= own.data();
  require(apart, where, ": own overlaps whole, expected memory of its own");
}

/// This rank's slice of the numbers of `whole`.
template <class Whole>
auto own_slice(Communicator const& communicator, Whole const& whole) {
  std::size_t const count = whole.size() / static_cast<std::size_t>(communicator.size());
  auto* const begin = whole.data() + static_cast<std::size_t>(communicator.rank()) * count;
  return Numbers<typename Whole::memory_space, typename Whole::value_type>(begin, count);
}

template <bool Staged, class ExecutionSpace, class Own, class Gathered>
void all_gather(ExecutionSpace const& exec, Communicator const& communicator, Own const& own,
                Gathered const& gathered) {
  using T = typename Gathered::non_const_value_type;
  require_slices("all_gather", communicator, "own", own, "gathered", gathered);
  if (gathered.size() == 0) return;
  auto const place = own_slice(communicator, gathered);
  if (communicator.size() == 1) {
    if (own.data() != place.data()) Kokkos::deep_copy(exec, place, flat(own));
  } else if constexpr (Staged) {
    T* const staging = communicator.staging<T>(gathered.size());
    T* const staged_own = staging + (place.data() - gathered.data());
    stage(exec, own, staged_own);
    exec.fence();
    mpi_all_gather<T>(communicator, staged_own, staging, own.size());
    unstage(exec, staging, gathered);
  } else {
    exec.fence();
    mpi_all_gather<T>(communicator, own.data(), gathered.data(), own.size());
  }
}

template <bool Staged, class ExecutionSpace, class View>
void all_reduce(ExecutionSpace const& exec, Communicator const& communicator, View const& view, Reduce op) {
  using T = typename View::non_const_value_type;
  require_contiguous("all_reduce", "view", view);
  if (view.size() == 0 || communicator.size() == 1) return;
  T* data = view.data();
  if constexpr (Staged) {
    data = communicator.staging<T>(view.size());
    stage(exec, view, data);
  }
  exec.fence();
  mpi_all_reduce(communicator, data, view.size(), operation<T>(op));
  if constexpr (Staged) unstage(exec, data, view);
}

template <bool Staged, class ExecutionSpace, class Whole, class Own>
void reduce_scatter(ExecutionSpace const& exec, Communicator const& communicator, Whole const& whole, Own const& own) {
  using T = typename Own::non_const_value_type;
  require_slices("reduce_scatter", communicator, "own", own, "whole", whole);
  if (whole.size() == 0) return;
  require_apart("reduce_scatter", whole, own);
  if (communicator.size() == 1) {
    Kokkos::deep_copy(exec, flat(own), flat(whole));
    return;
  }
  if constexpr (Staged) {
    T* const staging = communicator.staging<T>(whole.size() + own.size());
    stage(exec, whole, staging);
    exec.fence();
    mpi_reduce_scatter<T>(communicator, staging, staging + whole.size(), own.size());
    unstage(exec, staging + whole.size(), own);
  } else {
    exec.fence();
    mpi_reduce_scatter<T>(communicator, whole.data(), own.data(), own.size());
  }
}

template <bool Staged, class ExecutionSpace, class View>
void broadcast(ExecutionSpace const& exec, Communicator const& communicator, View const& view, int root) {
  using T = typename View::non_const_value_type;
  require_contiguous("broadcast", "view", view);
  require<CommError>(0 <= root && root < communicator.size(), "broadcast: root is ", root,
                     ", expected a rank of P = ", communicator.size());
  if (view.size() == 0 || communicator.size() == 1) return;
  T* data = view.data();
  if constexpr (Staged) {
    data = communicator.staging<T>(view.size());
    if (communicator.rank() == root) stage(exec, view, data);
  }
  exec.fence();
  mpi_broadcast(communicator, data, view.size(), root);
  if constexpr (Staged) {
    if (communicator.rank() != root) unstage(exec, data, view);
  }
}
} // namespace detail

/// Puts the ranks' `own` one after the other along the leading axis of `gathered`. Nothing is copied within a rank
/// whose `own` is its slice of `gathered`; other overlaps are not allowed. Shapes: own (n, ...), gathered (P n, ...).
/// Collective: one all-gather; each rank gives the bytes of `own` and receives P - 1 times as many.
/// Throws: ShapeError, CommError.
template <KokkosExecutionSpace ExecutionSpace, class Own, class Gathered>
void all_gather(ExecutionSpace const& exec, Communicator const& communicator, Own const& own,
                Gathered const& gathered) {
  detail::all_gather<detail::needs_staging<Gathered>>(exec, communicator, own, gathered);
}

/// Replaces `view` by the sum, maximum or minimum over the ranks, element by element.
/// Shapes: view of any shape.
/// Collective: one all-reduce; each rank gives the bytes of `view` and receives as many (a ring moves 2 (P - 1) / P
/// times that in and out of each rank). Throws: ShapeError, CommError.
template <KokkosExecutionSpace ExecutionSpace, class View>
void all_reduce(ExecutionSpace const& exec, Communicator const& communicator, View const& view, Reduce op) {
  detail::all_reduce<detail::needs_staging_to_reduce<View>>(exec, communicator, view, op);
}

/// Sums `whole` over the ranks and leaves on each its slice of the sum. The two must not overlap.
/// Shapes: whole (P n, ...), own (n, ...).
/// Collective: one reduce-scatter; each rank gives the bytes of `whole`, of which its own slice stays, and receives 1 /
/// P of them, summed. Throws: ShapeError, CommError.
template <KokkosExecutionSpace ExecutionSpace, class Whole, class Own>
void reduce_scatter(ExecutionSpace const& exec, Communicator const& communicator, Whole const& whole, Own const& own) {
  detail::reduce_scatter<detail::needs_staging<Whole>>(exec, communicator, whole, own);
}

/// Replaces `view` by that of rank `root`.
/// Shapes: view of any shape.
/// Collective: one broadcast; the root gives the bytes of `view`, every other rank receives them.
/// Throws: ShapeError, CommError.
template <KokkosExecutionSpace ExecutionSpace, class View>
void broadcast(ExecutionSpace const& exec, Communicator const& communicator, View const& view, int root) {
  detail::broadcast<detail::needs_staging<View>>(exec, communicator, view, root);
}

/// The sum, maximum or minimum over the ranks of a few numbers on the host, each by itself.
/// Collective: one all-reduce of the bytes of `values`, which has the same length on all ranks.
/// Throws: CommError.
template <Reducible T>
std::vector<T> all_reduce(Communicator const& communicator, std::vector<T> values, Reduce op) {
  if (communicator.size() > 1)
    detail::mpi_all_reduce(communicator, values.data(), values.size(), detail::operation<T>(op));
  return values;
}
template <Reducible T>
T all_reduce(Communicator const& communicator, T value, Reduce op) {
  if (communicator.size() > 1) detail::mpi_all_reduce(communicator, &value, 1, detail::operation<T>(op));
  return value;
}

/// The number of rank `root`, bit for bit. Ranks that decide by a computed number take one rank's: rounding may differ
/// between kinds of processors, and with it the decision.
/// Collective: one broadcast of the bytes of `value`. Throws: CommError.
template <Communicable T>
T from_rank(Communicator const& communicator, int root, T value) {
  if (communicator.size() > 1) detail::mpi_broadcast(communicator, &value, 1, root);
  return value;
}

} // namespace dchag::comm
