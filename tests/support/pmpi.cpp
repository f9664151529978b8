// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "support/pmpi.hpp"

#include <mpi.h>

#include <ctime>

namespace dchag::support {

CommCount::Tallies& CommCount::everything() {
  static Tallies tallies;
  return tallies;
}

void CommCount::reset() {
  m_start = everything();
  m_start_seconds = all_seconds();
}

CommCount::Tally CommCount::since_start(std::string const& function) const {
  auto const find = [&](Tallies const& tallies) {
    auto const found = tallies.find(function);
    return found == tallies.end() ? Tally() : found->second;
  };
  Tally const now = find(everything());
  Tally const start = find(m_start);
  return {now.calls - start.calls, now.bytes - start.bytes};
}

std::size_t CommCount::calls(std::string const& function) const {
  return since_start(function).calls;
}
std::size_t CommCount::bytes_sent(std::string const& function) const {
  return since_start(function).bytes;
}

std::size_t CommCount::total_calls() const {
  std::size_t total = 0;
  for (auto const& [function, tally] : everything()) total += calls(function);
  return total;
}
std::size_t CommCount::total_bytes_sent() const {
  std::size_t total = 0;
  for (auto const& [function, tally] : everything()) total += bytes_sent(function);
  return total;
}

CommCount::Tallies CommCount::by_function() const {
  Tallies called;
  for (auto const& [function, tally] : everything())
    if (calls(function) > 0) called[function] = since_start(function);
  return called;
}

double cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

double& CommCount::all_seconds() {
  static double seconds = 0;
  return seconds;
}
void note_seconds(double seconds) {
  CommCount::all_seconds() += seconds;
}

void note_call(char const* function, std::size_t bytes) {
  auto& tally = CommCount::everything()[function];
  ++tally.calls;
  tally.bytes += bytes;
}

} // namespace dchag::support

namespace {
/// A call from its beginning to its end.
class Call {
public:
  Call(char const* function, std::size_t bytes) { dchag::support::note_call(function, bytes); }
  ~Call() { dchag::support::note_seconds(dchag::support::cpu_seconds() - m_begin); }
  Call(Call const&) = delete;
  Call& operator=(Call const&) = delete;

private:
  double m_begin = dchag::support::cpu_seconds();
};

int rank_in(MPI_Comm comm) {
  int rank = 0;
  PMPI_Comm_rank(comm, &rank);
  return rank;
}
std::size_t ranks_of(MPI_Comm comm) {
  int size = 0;
  PMPI_Comm_size(comm, &size);
  return static_cast<std::size_t>(size);
}
std::size_t bytes_of(int count, MPI_Datatype type) {
  MPI_Count bytes = 0;
  PMPI_Type_size_x(type, &bytes);
  return static_cast<std::size_t>(count) * static_cast<std::size_t>(bytes);
}
std::size_t bytes_of(int const counts[], MPI_Comm comm, MPI_Datatype type) {
  std::size_t total = 0;
  for (std::size_t rank = 0; rank < ranks_of(comm); ++rank) total += bytes_of(counts[rank], type);
  return total;
}
} // namespace

// The names and parameters are MPI's own.
extern "C" {
int MPI_Barrier(MPI_Comm comm) {
  Call const call("MPI_Barrier", 0);
  return PMPI_Barrier(comm);
}
int MPI_Ibarrier(MPI_Comm comm, MPI_Request* request) {
  Call const call("MPI_Ibarrier", 0);
  return PMPI_Ibarrier(comm, request);
}
int MPI_Bcast(void* data, int count, MPI_Datatype type, int root, MPI_Comm comm) {
  Call const call("MPI_Bcast", rank_in(comm) == root ? bytes_of(count, type) : 0);
  return PMPI_Bcast(data, count, type, root, comm);
}
int MPI_Ibcast(void* data, int count, MPI_Datatype type, int root, MPI_Comm comm, MPI_Request* request) {
  Call const call("MPI_Ibcast", rank_in(comm) == root ? bytes_of(count, type) : 0);
  return PMPI_Ibcast(data, count, type, root, comm, request);
}
int MPI_Allreduce(void const* in, void* out, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm) {
  Call const call("MPI_Allreduce", bytes_of(count, type));
  return PMPI_Allreduce(in, out, count, type, op, comm);
}
int MPI_Iallreduce(void const* in, void* out, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm,
                   MPI_Request* request) {
  Call const call("MPI_Iallreduce", bytes_of(count, type));
  return PMPI_Iallreduce(in, out, count, type, op, comm, request);
}
int MPI_Reduce(void const* in, void* out, int count, MPI_Datatype type, MPI_Op op, int root, MPI_Comm comm) {
  Call const call("MPI_Reduce", bytes_of(count, type));
  return PMPI_Reduce(in, out, count, type, op, root, comm);
}
int MPI_Ireduce(void const* in, void* out, int count, MPI_Datatype type, MPI_Op op, int root, MPI_Comm comm,
                MPI_Request* request) {
  Call const call("MPI_Ireduce", bytes_of(count, type));
  return PMPI_Ireduce(in, out, count, type, op, root, comm, request);
}
int MPI_Reduce_scatter_block(void const* in, void* out, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm) {
  Call const call("MPI_Reduce_scatter_block", ranks_of(comm) * bytes_of(count, type));
  return PMPI_Reduce_scatter_block(in, out, count, type, op, comm);
}
int MPI_Ireduce_scatter_block(void const* in, void* out, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm,
                              MPI_Request* request) {
  Call const call("MPI_Ireduce_scatter_block", ranks_of(comm) * bytes_of(count, type));
  return PMPI_Ireduce_scatter_block(in, out, count, type, op, comm, request);
}
int MPI_Reduce_scatter(void const* in, void* out, int const counts[], MPI_Datatype type, MPI_Op op, MPI_Comm comm) {
  Call const call("MPI_Reduce_scatter", bytes_of(counts, comm, type));
  return PMPI_Reduce_scatter(in, out, counts, type, op, comm);
}
int MPI_Ireduce_scatter(void const* in, void* out, int const counts[], MPI_Datatype type, MPI_Op op, MPI_Comm comm,
                        MPI_Request* request) {
  Call const call("MPI_Ireduce_scatter", bytes_of(counts, comm, type));
  return PMPI_Ireduce_scatter(in, out, counts, type, op, comm, request);
}
int MPI_Allgather(void const* in, int count, MPI_Datatype type, void* out, int out_count, MPI_Datatype out_type,
                  MPI_Comm comm) {
  Call const call("MPI_Allgather", in == MPI_IN_PLACE ? bytes_of(out_count, out_type) : bytes_of(count, type));
  return PMPI_Allgather(in, count, type, out, out_count, out_type, comm);
}
int MPI_Iallgather(void const* in, int count, MPI_Datatype type, void* out, int out_count, MPI_Datatype out_type,
                   MPI_Comm comm, MPI_Request* request) {
  Call const call("MPI_Iallgather", in == MPI_IN_PLACE ? bytes_of(out_count, out_type) : bytes_of(count, type));
  return PMPI_Iallgather(in, count, type, out, out_count, out_type, comm, request);
}
int MPI_Allgatherv(void const* in, int count, MPI_Datatype type, void* out, int const counts[], int const offsets[],
                   MPI_Datatype out_type, MPI_Comm comm) {
  Call const call("MPI_Allgatherv",
                  in == MPI_IN_PLACE ? bytes_of(counts[rank_in(comm)], out_type) : bytes_of(count, type));
  return PMPI_Allgatherv(in, count, type, out, counts, offsets, out_type, comm);
}
int MPI_Iallgatherv(void const* in, int count, MPI_Datatype type, void* out, int const counts[], int const offsets[],
                    MPI_Datatype out_type, MPI_Comm comm, MPI_Request* request) {
  Call const call("MPI_Iallgatherv",
                  in == MPI_IN_PLACE ? bytes_of(counts[rank_in(comm)], out_type) : bytes_of(count, type));
  return PMPI_Iallgatherv(in, count, type, out, counts, offsets, out_type, comm, request);
}
int MPI_Gather(void const* in, int count, MPI_Datatype type, void* out, int out_count, MPI_Datatype out_type, int root,
               MPI_Comm comm) {
  Call const call("MPI_Gather", in == MPI_IN_PLACE ? bytes_of(out_count, out_type) : bytes_of(count, type));
  return PMPI_Gather(in, count, type, out, out_count, out_type, root, comm);
}
int MPI_Igather(void const* in, int count, MPI_Datatype type, void* out, int out_count, MPI_Datatype out_type, int root,
                MPI_Comm comm, MPI_Request* request) {
  Call const call("MPI_Igather", in == MPI_IN_PLACE ? bytes_of(out_count, out_type) : bytes_of(count, type));
  return PMPI_Igather(in, count, type, out, out_count, out_type, root, comm, request);
}
int MPI_Gatherv(void const* in, int count, MPI_Datatype type, void* out, int const counts[], int const offsets[],
                MPI_Datatype out_type, int root, MPI_Comm comm) {
  Call const call("MPI_Gatherv", in == MPI_IN_PLACE ? bytes_of(counts[root], out_type) : bytes_of(count, type));
  return PMPI_Gatherv(in, count, type, out, counts, offsets, out_type, root, comm);
}
int MPI_Igatherv(void const* in, int count, MPI_Datatype type, void* out, int const counts[], int const offsets[],
                 MPI_Datatype out_type, int root, MPI_Comm comm, MPI_Request* request) {
  Call const call("MPI_Igatherv", in == MPI_IN_PLACE ? bytes_of(counts[root], out_type) : bytes_of(count, type));
  return PMPI_Igatherv(in, count, type, out, counts, offsets, out_type, root, comm, request);
}
int MPI_Scatter(void const* in, int count, MPI_Datatype type, void* out, int out_count, MPI_Datatype out_type, int root,
                MPI_Comm comm) {
  Call const call("MPI_Scatter", rank_in(comm) == root ? ranks_of(comm) * bytes_of(count, type) : 0);
  return PMPI_Scatter(in, count, type, out, out_count, out_type, root, comm);
}
int MPI_Iscatter(void const* in, int count, MPI_Datatype type, void* out, int out_count, MPI_Datatype out_type,
                 int root, MPI_Comm comm, MPI_Request* request) {
  Call const call("MPI_Iscatter", rank_in(comm) == root ? ranks_of(comm) * bytes_of(count, type) : 0);
  return PMPI_Iscatter(in, count, type, out, out_count, out_type, root, comm, request);
}
int MPI_Scatterv(void const* in, int const counts[], int const offsets[], MPI_Datatype type, void* out, int out_count,
                 MPI_Datatype out_type, int root, MPI_Comm comm) {
  Call const call("MPI_Scatterv", rank_in(comm) == root ? bytes_of(counts, comm, type) : 0);
  return PMPI_Scatterv(in, counts, offsets, type, out, out_count, out_type, root, comm);
}
int MPI_Iscatterv(void const* in, int const counts[], int const offsets[], MPI_Datatype type, void* out, int out_count,
                  MPI_Datatype out_type, int root, MPI_Comm comm, MPI_Request* request) {
  Call const call("MPI_Iscatterv", rank_in(comm) == root ? bytes_of(counts, comm, type) : 0);
  return PMPI_Iscatterv(in, counts, offsets, type, out, out_count, out_type, root, comm, request);
}
int MPI_Alltoall(void const* in, int count, MPI_Datatype type, void* out, int out_count, MPI_Datatype out_type,
                 MPI_Comm comm) {
  Call const call("MPI_Alltoall",
                  ranks_of(comm) * (in == MPI_IN_PLACE ? bytes_of(out_count, out_type) : bytes_of(count, type)));
  return PMPI_Alltoall(in, count, type, out, out_count, out_type, comm);
}
int MPI_Ialltoall(void const* in, int count, MPI_Datatype type, void* out, int out_count, MPI_Datatype out_type,
                  MPI_Comm comm, MPI_Request* request) {
  Call const call("MPI_Ialltoall",
                  ranks_of(comm) * (in == MPI_IN_PLACE ? bytes_of(out_count, out_type) : bytes_of(count, type)));
  return PMPI_Ialltoall(in, count, type, out, out_count, out_type, comm, request);
}
int MPI_Alltoallv(void const* in, int const counts[], int const offsets[], MPI_Datatype type, void* out,
                  int const out_counts[], int const out_offsets[], MPI_Datatype out_type, MPI_Comm comm) {
  Call const call("MPI_Alltoallv",
                  in == MPI_IN_PLACE ? bytes_of(out_counts, comm, out_type) : bytes_of(counts, comm, type));
  return PMPI_Alltoallv(in, counts, offsets, type, out, out_counts, out_offsets, out_type, comm);
}
int MPI_Ialltoallv(void const* in, int const counts[], int const offsets[], MPI_Datatype type, void* out,
                   int const out_counts[], int const out_offsets[], MPI_Datatype out_type, MPI_Comm comm,
                   MPI_Request* request) {
  Call const call("MPI_Ialltoallv",
                  in == MPI_IN_PLACE ? bytes_of(out_counts, comm, out_type) : bytes_of(counts, comm, type));
  return PMPI_Ialltoallv(in, counts, offsets, type, out, out_counts, out_offsets, out_type, comm, request);
}
int MPI_Scan(void const* in, void* out, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm) {
  Call const call("MPI_Scan", bytes_of(count, type));
  return PMPI_Scan(in, out, count, type, op, comm);
}
int MPI_Iscan(void const* in, void* out, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm, MPI_Request* request) {
  Call const call("MPI_Iscan", bytes_of(count, type));
  return PMPI_Iscan(in, out, count, type, op, comm, request);
}
int MPI_Exscan(void const* in, void* out, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm) {
  Call const call("MPI_Exscan", bytes_of(count, type));
  return PMPI_Exscan(in, out, count, type, op, comm);
}
int MPI_Iexscan(void const* in, void* out, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm,
                MPI_Request* request) {
  Call const call("MPI_Iexscan", bytes_of(count, type));
  return PMPI_Iexscan(in, out, count, type, op, comm, request);
}
int MPI_Send(void const* in, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm) {
  Call const call("MPI_Send", bytes_of(count, type));
  return PMPI_Send(in, count, type, to, tag, comm);
}
int MPI_Isend(void const* in, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm, MPI_Request* request) {
  Call const call("MPI_Isend", bytes_of(count, type));
  return PMPI_Isend(in, count, type, to, tag, comm, request);
}
int MPI_Ssend(void const* in, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm) {
  Call const call("MPI_Ssend", bytes_of(count, type));
  return PMPI_Ssend(in, count, type, to, tag, comm);
}
int MPI_Issend(void const* in, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm, MPI_Request* request) {
  Call const call("MPI_Issend", bytes_of(count, type));
  return PMPI_Issend(in, count, type, to, tag, comm, request);
}
int MPI_Recv(void* out, int count, MPI_Datatype type, int from, int tag, MPI_Comm comm, MPI_Status* status) {
  Call const call("MPI_Recv", 0);
  return PMPI_Recv(out, count, type, from, tag, comm, status);
}
int MPI_Irecv(void* out, int count, MPI_Datatype type, int from, int tag, MPI_Comm comm, MPI_Request* request) {
  Call const call("MPI_Irecv", 0);
  return PMPI_Irecv(out, count, type, from, tag, comm, request);
}
int MPI_Sendrecv(void const* in, int count, MPI_Datatype type, int to, int tag, void* out, int out_count,
                 MPI_Datatype out_type, int from, int out_tag, MPI_Comm comm, MPI_Status* status) {
  Call const call("MPI_Sendrecv", bytes_of(count, type));
  return PMPI_Sendrecv(in, count, type, to, tag, out, out_count, out_type, from, out_tag, comm, status);
}
}
