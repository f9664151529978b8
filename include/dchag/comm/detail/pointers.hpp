// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/comm/communicator.hpp>
#include <dchag/comm/datatype.hpp>

#include <algorithm>
#include <limits>

/// \file
/// The collectives on host or device pointers. MPI counts in int: what is longer than `limit` numbers goes in pieces.
namespace dchag::comm::detail {

inline constexpr std::size_t count_limit = (std::numeric_limits<int>::max)();

/// Calls f(begin, length) for pieces of [0, count) of at most `limit` numbers, in order.
template <class F>
void for_each_chunk(std::size_t count, std::size_t limit, F const& f) {
  for (std::size_t begin = 0; begin < count; begin += limit)
    f(begin, static_cast<int>((std::min)(limit, count - begin)));
}

/// `count` numbers as one element of an MPI type, described by counts of at most `limit`.
class LargeType {
public:
  LargeType(std::size_t count, std::size_t limit, std::size_t number_size, MPI_Datatype number) {
    int const full = static_cast<int>(count / limit);
    int const rest = static_cast<int>(count % limit);
    MPI_Datatype chunk = MPI_DATATYPE_NULL;
    check(MPI_Type_contiguous(static_cast<int>(limit), number, &chunk), "MPI_Type_contiguous");
    int const lengths[] = {full, rest};
    MPI_Aint const offsets[] = {0, static_cast<MPI_Aint>((count - count % limit) * number_size)};
    MPI_Datatype const types[] = {chunk, number};
    check(MPI_Type_create_struct(2, lengths, offsets, types, &m_type), "MPI_Type_create_struct");
    check(MPI_Type_commit(&m_type), "MPI_Type_commit");
    check(MPI_Type_free(&chunk), "MPI_Type_free");
  }
  LargeType(LargeType const&) = delete;
  LargeType& operator=(LargeType const&) = delete;
  ~LargeType() { MPI_Type_free(&m_type); }

  MPI_Datatype native() const { return m_type; }

private:
  MPI_Datatype m_type = MPI_DATATYPE_NULL;
};

/// `own` (count) of every rank, in rank order, in `gathered` (P * count); in place if `own` points to its place there.
template <Communicable T>
void mpi_all_gather(Communicator const& communicator, T const* own, T* gathered, std::size_t count,
                    std::size_t limit = count_limit) {
  auto const rank = static_cast<std::size_t>(communicator.rank());
  auto const size = static_cast<std::size_t>(communicator.size());
  void const* const source = own == gathered + rank * count ? MPI_IN_PLACE : own;
  auto const gather = [&](int length, MPI_Datatype type) {
    check(MPI_Allgather(source, length, type, gathered, length, type, communicator.native()), "MPI_Allgather");
  };
  if (size * count <= limit) { // of the whole: implementations add the counts up in int
    gather(static_cast<int>(count), datatype<T>());
  } else {
    LargeType const slice(count, limit, sizeof(T), datatype<T>());
    gather(1, slice.native());
  }
}

template <Reducible T>
void mpi_all_reduce(Communicator const& communicator, T* data, std::size_t count, MPI_Op op,
                    std::size_t limit = count_limit) {
  for_each_chunk(count, limit, [&](std::size_t begin, int length) {
    check(MPI_Allreduce(MPI_IN_PLACE, data + begin, length, datatype<T>(), op, communicator.native()), "MPI_Allreduce");
  });
}

/// Sums `whole` (P * count) over the ranks; rank r gets slice r in `own` (count).
template <Reducible T>
void mpi_reduce_scatter(Communicator const& communicator, T const* whole, T* own, std::size_t count,
                        std::size_t limit = count_limit) {
  auto const size = static_cast<std::size_t>(communicator.size());
  if (size * count <= limit) {
    check(MPI_Reduce_scatter_block(whole, own, static_cast<int>(count), datatype<T>(), MPI_SUM, communicator.native()),
          "MPI_Reduce_scatter_block");
    return;
  }
  // MPI's own sums take no derived types, and a piece of every slice is not contiguous: one reduction for each owner.
  for (std::size_t owner = 0; owner < size; ++owner)
    for_each_chunk(count, limit, [&](std::size_t begin, int length) {
      check(MPI_Reduce(whole + owner * count + begin, own + begin, length, datatype<T>(), MPI_SUM,
                       static_cast<int>(owner), communicator.native()),
            "MPI_Reduce");
    });
}

template <Communicable T>
void mpi_broadcast(Communicator const& communicator, T* data, std::size_t count, int root,
                   std::size_t limit = count_limit) {
  for_each_chunk(count, limit, [&](std::size_t begin, int length) {
    check(MPI_Bcast(data + begin, length, datatype<T>(), root, communicator.native()), "MPI_Bcast");
  });
}

} // namespace dchag::comm::detail
