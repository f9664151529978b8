// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/comm/collectives.hpp>
#include <dchag/core/range.hpp>

/// \file
/// Collectives on the rows of a matrix that are cut into contiguous parts as equal as possible, one a rank, where P
/// need not divide their number (`even_part`). Otherwise as in collectives.hpp.
namespace dchag::comm {

/// The rows of all that are this rank's.
inline Range own_part(Communicator const& communicator, std::size_t rows) {
  return even_part(rows, static_cast<std::size_t>(communicator.size()), static_cast<std::size_t>(communicator.rank()));
}

namespace detail {
/// Numbers of each rank's part, and where it begins, of parts that are not all equal; MPI counts in int.
struct PartCounts {
  std::vector<int> counts, offsets;

  PartCounts(char const* where, Communicator const& communicator, std::size_t rows, std::size_t columns) {
    require(rows * columns <= count_limit, where, ": ", rows, " x ", columns, " numbers, expected at most ",
            count_limit, " where parts differ in size");
    auto const ranks = static_cast<std::size_t>(communicator.size());
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      Range const part = even_part(rows, ranks, rank);
      counts.push_back(static_cast<int>(part.size() * columns));
      offsets.push_back(static_cast<int>(part.begin * columns));
    }
  }
};

inline bool equal_parts(Communicator const& communicator, std::size_t rows) {
  return rows % static_cast<std::size_t>(communicator.size()) == 0;
}

template <bool Staged, class ExecutionSpace, class Whole>
void all_gather_parts(ExecutionSpace const& exec, Communicator const& communicator, Whole const& whole) {
  using T = typename Whole::non_const_value_type;
  require_contiguous("all_gather_parts", "whole", whole);
  if (whole.size() == 0 || communicator.size() == 1) return;
  Range const own = own_part(communicator, whole.extent(0));
  T* data = whole.data();
  if constexpr (Staged) {
    data = communicator.staging<T>(whole.size());
    stage(exec, whole, data);
  }
  exec.fence();
  if (equal_parts(communicator, whole.extent(0))) {
    mpi_all_gather<T>(communicator, data + own.begin * whole.extent(1), data, own.size() * whole.extent(1));
  } else {
    PartCounts const parts("all_gather_parts", communicator, whole.extent(0), whole.extent(1));
    check(MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, data, parts.counts.data(), parts.offsets.data(),
                         datatype<T>(), communicator.native()),
          "MPI_Allgatherv");
  }
  if constexpr (Staged) unstage(exec, data, whole);
}

template <bool Staged, class ExecutionSpace, class Whole, class Own>
void reduce_scatter_parts(ExecutionSpace const& exec, Communicator const& communicator, Whole const& whole,
                          Own const& own) {
  using T = typename Own::non_const_value_type;
  require_contiguous("reduce_scatter_parts", "whole", whole);
  require_contiguous("reduce_scatter_parts", "own", own);
  Extents<2> const expected{own_part(communicator, whole.extent(0)).size(), whole.extent(1)};
  require(extents_of(own) == expected, "reduce_scatter_parts: own is ", shape_text(extents_of(own)), ", expected ",
          shape_text(expected), ", this rank's part of whole ", shape_text(extents_of(whole)));
  if (whole.size() == 0) return;
  if (communicator.size() == 1) {
    if (own.data() != whole.data()) Kokkos::deep_copy(exec, flat(own), flat(whole));
    return;
  }
  require_apart("reduce_scatter_parts", whole, own);
  auto const scatter = [&](T const* from, T* to) {
    exec.fence();
    if (equal_parts(communicator, whole.extent(0))) {
      mpi_reduce_scatter<T>(communicator, from, to, own.size());
    } else {
      PartCounts const parts("reduce_scatter_parts", communicator, whole.extent(0), whole.extent(1));
      check(MPI_Reduce_scatter(from, to, parts.counts.data(), datatype<T>(), MPI_SUM, communicator.native()),
            "MPI_Reduce_scatter");
    }
  };
  if constexpr (Staged) {
    T* const staging = communicator.staging<T>(whole.size() + own.size());
    stage(exec, whole, staging);
    scatter(staging, staging + whole.size());
    unstage(exec, staging + whole.size(), own);
  } else {
    scatter(whole.data(), own.data());
  }
}
} // namespace detail

/// Brings the parts of all ranks together: each gives its own rows of `whole`, where they lie, and receives the others.
/// Shapes: whole (rows, columns).
/// Collective: one all-gather; each rank gives the bytes of its part and receives those of all others.
/// Throws: ShapeError, CommError.
template <KokkosExecutionSpace ExecutionSpace, TensorView<2> Whole>
void all_gather_parts(ExecutionSpace const& exec, Communicator const& communicator, Whole const& whole) {
  detail::all_gather_parts<detail::needs_staging<Whole>>(exec, communicator, whole);
}

/// Sums `whole` over the ranks and leaves on each its own part of the sum. The two must not overlap.
/// Shapes: whole (rows, columns), own (own rows, columns).
/// Collective: one reduce-scatter; each rank gives the bytes of `whole` and receives those of its part.
/// Throws: ShapeError, CommError.
template <KokkosExecutionSpace ExecutionSpace, TensorView<2> Whole, TensorView<2> Own>
void reduce_scatter_parts(ExecutionSpace const& exec, Communicator const& communicator, Whole const& whole,
                          Own const& own) {
  detail::reduce_scatter_parts<detail::needs_staging<Own>>(exec, communicator, whole, own);
}

} // namespace dchag::comm
