// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/comm/communicator.hpp>
#include <dchag/comm/datatype.hpp>
#include <dchag/core/concepts.hpp>

namespace dchag::comm::detail {

template <class View>
inline constexpr bool host_reaches =
    Kokkos::SpaceAccessibility<Kokkos::HostSpace, typename View::memory_space>::accessible;

/// Whether MPI is handed a copy on the host in place of the View's own memory.
template <class View>
inline constexpr bool needs_staging =
#ifdef DCHAG_GPU_AWARE_MPI
    false;
#else
    !host_reaches<View>;
#endif

/// The same for a reduction: operations of ours read the numbers on the host.
template <class View>
inline constexpr bool needs_staging_to_reduce = needs_staging<View> ||
                                                (!host_reaches<View> &&
                                                 has_own_operation<typename View::non_const_value_type>);

/// Whether MPI can begin a reduction of memory that the host cannot reach and go on while others work. Open MPI cannot:
/// its support of devices copies the numbers to the host in its blocking reductions only.
inline constexpr bool begins_device_reductions =
#ifdef OPEN_MPI
    false;
#else
    true;
#endif

/// Whether a reduction that is to be begun is made whole at its beginning.
template <class View>
inline constexpr bool reduces_at_once = needs_staging_to_reduce<View> ||
                                        (!host_reaches<View> && !begins_device_reductions);

template <class MemorySpace, class T>
using Numbers = Kokkos::View<T*, Kokkos::LayoutRight, MemorySpace, Kokkos::MemoryTraits<Kokkos::Unmanaged>>;

/// The numbers of a contiguous View in the order of memory.
template <class View>
auto flat(View const& view) {
  return Numbers<typename View::memory_space, typename View::value_type>(view.data(), view.size());
}
template <class T>
auto flat_staging(T* data, std::size_t count) {
  return Numbers<Communicator::StagingSpace, T>(data, count);
}

/// Brings a View's numbers to `staging`, ordered on exec.
template <KokkosExecutionSpace ExecutionSpace, class View>
void stage(ExecutionSpace const& exec, View const& view, typename View::non_const_value_type* staging) {
  Kokkos::deep_copy(exec, flat_staging(staging, view.size()), flat(view));
}

/// Brings them back. Waits: the staging memory serves the next collective, perhaps on another instance.
template <KokkosExecutionSpace ExecutionSpace, class View>
void unstage(ExecutionSpace const& exec, typename View::non_const_value_type* staging, View const& view) {
  Kokkos::deep_copy(exec, flat(view), flat_staging(staging, view.size()));
  exec.fence();
}

} // namespace dchag::comm::detail
