// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/comm/collectives.hpp>
#include <dchag/comm/detail/requests.hpp>

#include <exception>
#include <utility>

/// \file
/// Collectives that are begun now and waited for later, with work between that touches none of their Views. Begun and
/// waited for by all ranks of the communicator, the beginnings in the same order as all its other collectives.
///
/// Work on `exec` that is before the beginning is waited for there. One rank alone sends nothing and is done at once
/// (a copy is ordered on `exec`).
///
/// A View that the host cannot reach: without DCHAG_GPU_AWARE_MPI it goes through the communicator's one piece of host
/// memory, and the whole collective is made at the beginning. With DCHAG_GPU_AWARE_MPI its own memory is handed to MPI,
/// and the collective is begun, except for reductions by Open MPI: that can reduce device memory in blocking calls
/// only, so they are made at the beginning too. (Which MPI it is, is known when the program is compiled. Open MPI
/// begins gathers of device memory only if UCX carries its messages.)
namespace dchag::comm {

/// A collective under way; an empty one is done. Its Views must live, and its communicator, until it is done.
///
/// Its end waits as well, unless an exception that was not there at its beginning is on its way out: another rank may
/// then never begin. The request is abandoned, and MPI may still write to the Views afterwards.
class Pending {
public:
  Pending() = default;
  Pending(Communicator const& communicator, detail::Requests requests)
      : m_requests(std::move(requests)), m_abandoned(communicator.abandoned()) {}
  Pending(Pending&& other) noexcept { swap(other); }
  /// Waits for what this was.
  Pending& operator=(Pending&& other) noexcept {
    Pending before(std::move(other));
    swap(before);
    return *this;
  }
  ~Pending() {
    if (m_requests.empty()) return;
    if (std::uncaught_exceptions() > m_exceptions)
      *m_abandoned = true;
    else
      MPI_Waitall(length(), m_requests.data(), MPI_STATUSES_IGNORE);
  }

  /// Returns when the result is there. Throws: CommError.
  void wait() {
    if (m_requests.empty()) return;
    auto requests = std::exchange(m_requests, {});
    auto const count = static_cast<int>(requests.size());
    detail::check(MPI_Waitall(count, requests.data(), MPI_STATUSES_IGNORE), "MPI_Waitall");
  }

  /// Whether the result is there. Does not wait; lets MPI work on what is under way, which many implementations do
  /// only inside calls. Throws: CommError.
  bool progress() {
    if (m_requests.empty()) return true;
    int done = 0;
    detail::check(MPI_Testall(length(), m_requests.data(), &done, MPI_STATUSES_IGNORE), "MPI_Testall");
    if (done != 0) m_requests.clear();
    return done != 0;
  }

private:
  int length() const { return static_cast<int>(m_requests.size()); }
  void swap(Pending& other) noexcept {
    std::swap(m_requests, other.m_requests);
    std::swap(m_abandoned, other.m_abandoned);
    std::swap(m_exceptions, other.m_exceptions);
  }

  detail::Requests m_requests;
  std::shared_ptr<bool> m_abandoned; // of the communicator
  int m_exceptions = std::uncaught_exceptions();
};

namespace detail {
template <bool Staged, class ExecutionSpace, class Own, class Gathered>
Pending start_all_gather(ExecutionSpace const& exec, Communicator const& communicator, Own const& own,
                         Gathered const& gathered) {
  using T = typename Gathered::non_const_value_type;
  require_slices("start_all_gather", communicator, "own", own, "gathered", gathered);
  Requests requests;
  if (Staged || communicator.size() == 1) {
    all_gather<Staged>(exec, communicator, own, gathered);
  } else if (gathered.size() > 0) {
    exec.fence();
    mpi_start_all_gather<T>(communicator, own.data(), gathered.data(), own.size(), requests);
  }
  return Pending(communicator, std::move(requests));
}

template <bool Staged, bool AtOnce, class ExecutionSpace, class View>
Pending start_all_reduce(ExecutionSpace const& exec, Communicator const& communicator, View const& view, Reduce op) {
  require_contiguous("start_all_reduce", "view", view);
  Requests requests;
  if (AtOnce || communicator.size() == 1) {
    all_reduce<Staged>(exec, communicator, view, op);
  } else if (view.size() > 0) {
    exec.fence();
    mpi_start_all_reduce(communicator, view.data(), view.size(), operation<typename View::non_const_value_type>(op),
                         requests);
  }
  return Pending(communicator, std::move(requests));
}

template <bool Staged, bool AtOnce, class ExecutionSpace, class Whole, class Own>
Pending start_reduce_scatter(ExecutionSpace const& exec, Communicator const& communicator, Whole const& whole,
                             Own const& own) {
  using T = typename Own::non_const_value_type;
  require_slices("start_reduce_scatter", communicator, "own", own, "whole", whole);
  require_apart("start_reduce_scatter", whole, own);
  Requests requests;
  if (AtOnce || communicator.size() == 1) {
    reduce_scatter<Staged>(exec, communicator, whole, own);
  } else if (whole.size() > 0) {
    exec.fence();
    mpi_start_reduce_scatter<T>(communicator, whole.data(), own.data(), own.size(), requests);
  }
  return Pending(communicator, std::move(requests));
}
} // namespace detail

/// Begins to wait for all ranks: it is done when each of them has begun.
[[nodiscard]] inline Pending start_barrier(Communicator const& communicator) {
  detail::Requests requests;
  if (communicator.size() > 1) detail::mpi_start_barrier(communicator, requests);
  return Pending(communicator, std::move(requests));
}

/// Begins `all_gather`: shapes, what is sent and errors as there.
template <KokkosExecutionSpace ExecutionSpace, class Own, class Gathered>
[[nodiscard]] Pending start_all_gather(ExecutionSpace const& exec, Communicator const& communicator, Own const& own,
                                       Gathered const& gathered) {
  return detail::start_all_gather<detail::needs_staging<Gathered>>(exec, communicator, own, gathered);
}

/// Begins `all_reduce`: shapes, what is sent and errors as there.
template <KokkosExecutionSpace ExecutionSpace, class View>
[[nodiscard]] Pending start_all_reduce(ExecutionSpace const& exec, Communicator const& communicator, View const& view,
                                       Reduce op) {
  return detail::start_all_reduce<detail::needs_staging_to_reduce<View>, detail::reduces_at_once<View>>(
      exec, communicator, view, op);
}

/// Begins `reduce_scatter`: shapes, what is sent and errors as there.
template <KokkosExecutionSpace ExecutionSpace, class Whole, class Own>
[[nodiscard]] Pending start_reduce_scatter(ExecutionSpace const& exec, Communicator const& communicator,
                                           Whole const& whole, Own const& own) {
  return detail::start_reduce_scatter<detail::needs_staging<Whole>, detail::reduces_at_once<Whole>>(exec, communicator,
                                                                                                    whole, own);
}

} // namespace dchag::comm
