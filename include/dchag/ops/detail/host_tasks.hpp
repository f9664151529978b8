// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/concepts.hpp>

#include <algorithm>
#include <string>

namespace dchag::ops::detail {

/// How many tasks run at once, each with scratch of its own.
template <class ExecutionSpace>
std::size_t workers_of(ExecutionSpace const& exec) {
  return static_cast<std::size_t>((std::max)(1, concurrency(exec)));
}

/// Calls f(task, worker) for every task on a host: worker w takes tasks w, w + workers, ... in order, so what it adds
/// up in scratch of its own has one order on every run.
template <KokkosExecutionSpace ExecutionSpace, class F>
void for_each_task(ExecutionSpace const& exec, std::string const& label, std::size_t tasks, F const& f) {
  static_assert(runs_on_host<ExecutionSpace>, "for_each_task: runs on the host");
  std::size_t const workers = (std::min)(tasks, workers_of(exec));
  using Policy = Kokkos::RangePolicy<ExecutionSpace, Kokkos::Schedule<Kokkos::Static>, Kokkos::IndexType<std::size_t>>;
  Kokkos::parallel_for(label, Policy(exec, 0, workers, Kokkos::ChunkSize(1)), [=](std::size_t worker) {
    for (std::size_t task = worker; task < tasks; task += workers) f(task, worker);
  });
}

} // namespace dchag::ops::detail
