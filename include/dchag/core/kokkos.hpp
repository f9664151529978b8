// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// \file
/// The one shim over Kokkos versions: everything that is spelled differently between 3.4 (Debian 12) and 5.

#include <Kokkos_Core.hpp>

#include <bit>
#include <type_traits>

namespace dchag {

/// Functions of the C mathematics library that may be called in a kernel.
namespace math {
#if KOKKOS_VERSION < 30700
namespace library = Kokkos::Experimental;
#else
namespace library = Kokkos;
#endif
using library::log;
using library::sqrt;
#if KOKKOS_VERSION < 40100
#if defined(KOKKOS_ENABLE_CUDA) || defined(KOKKOS_ENABLE_HIP)
#error "dchag needs Kokkos 4.1 or newer on a device"
#endif
using std::bit_cast; // not callable on a device
#else
using Kokkos::bit_cast;
#endif
} // namespace math

/// True when kernels of this space run on the host, where they may call host libraries and hold host pointers.
template <class ExecutionSpace>
inline constexpr bool runs_on_host = std::is_same_v<typename ExecutionSpace::memory_space, Kokkos::HostSpace>;

/// How many kernels' bodies this instance can work on at once on the host (1 for Serial).
template <class ExecutionSpace>
int concurrency(ExecutionSpace const& exec) {
  static_cast<void>(exec); // 3.4 has a static function, which compilers see as an unused object
  return static_cast<int>(exec.concurrency());
}

} // namespace dchag
