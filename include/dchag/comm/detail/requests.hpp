// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/comm/detail/pointers.hpp>

#include <vector>

/// \file
/// The collectives of pointers.hpp, begun only: each adds what has to be waited for to `requests`.
namespace dchag::comm::detail {

using Requests = std::vector<MPI_Request>;

/// A place for one more request.
inline MPI_Request* next(Requests& requests) {
  requests.push_back(MPI_REQUEST_NULL);
  return &requests.back();
}

template <Communicable T>
void mpi_start_all_gather(Communicator const& communicator, T const* own, T* gathered, std::size_t count,
                          Requests& requests, std::size_t limit = count_limit) {
  auto const rank = static_cast<std::size_t>(communicator.rank());
  auto const size = static_cast<std::size_t>(communicator.size());
  void const* const source = own == gathered + rank * count ? MPI_IN_PLACE : own;
  auto const gather = [&](int length, MPI_Datatype type) {
    check(MPI_Iallgather(source, length, type, gathered, length, type, communicator.native(), next(requests)),
          "MPI_Iallgather");
  };
  if (size * count <= limit) {
    gather(static_cast<int>(count), datatype<T>());
  } else {
    LargeType const slice(count, limit, sizeof(T), datatype<T>()); // MPI keeps it until the request is done
    gather(1, slice.native());
  }
}

template <Reducible T>
void mpi_start_all_reduce(Communicator const& communicator, T* data, std::size_t count, MPI_Op op, Requests& requests,
                          std::size_t limit = count_limit) {
  for_each_chunk(count, limit, [&](std::size_t begin, int length) {
    check(MPI_Iallreduce(MPI_IN_PLACE, data + begin, length, datatype<T>(), op, communicator.native(), next(requests)),
          "MPI_Iallreduce");
  });
}

template <Reducible T>
void mpi_start_reduce_scatter(Communicator const& communicator, T const* whole, T* own, std::size_t count,
                              Requests& requests, std::size_t limit = count_limit) {
  auto const size = static_cast<std::size_t>(communicator.size());
  if (size * count <= limit) {
    check(MPI_Ireduce_scatter_block(whole, own, static_cast<int>(count), datatype<T>(), MPI_SUM, communicator.native(),
                                    next(requests)),
          "MPI_Ireduce_scatter_block");
    return;
  }
  for (std::size_t owner = 0; owner < size; ++owner)
    for_each_chunk(count, limit, [&](std::size_t begin, int length) {
      check(MPI_Ireduce(whole + owner * count + begin, own + begin, length, datatype<T>(), MPI_SUM,
                        static_cast<int>(owner), communicator.native(), next(requests)),
            "MPI_Ireduce");
    });
}

inline void mpi_start_barrier(Communicator const& communicator, Requests& requests) {
  check(MPI_Ibarrier(communicator.native(), next(requests)), "MPI_Ibarrier");
}

} // namespace dchag::comm::detail
