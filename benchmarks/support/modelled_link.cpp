// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "benchmarks/support/modelled_link.hpp"

#include <mpi.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

namespace dchag::bench {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

struct Link {
  double bytes_per_second = 0; // 0: closed
  Clock::time_point free;      // when all that was begun has moved
  double busy = 0;
  std::unordered_map<MPI_Request, Clock::time_point> done; // when each has moved
};
Link link;

double bytes_of(int count, MPI_Datatype type) {
  MPI_Count bytes = 0;
  PMPI_Type_size_x(type, &bytes);
  return static_cast<double>(count) * static_cast<double>(bytes);
}
double others_of(MPI_Comm comm) {
  int size = 0;
  PMPI_Comm_size(comm, &size);
  return size - 1;
}

int begin(int error, MPI_Request request, double bytes) {
  if (link.bytes_per_second > 0 && error == MPI_SUCCESS) {
    Seconds const seconds(bytes / link.bytes_per_second);
    link.free = std::max(link.free, Clock::now()) + std::chrono::duration_cast<Clock::duration>(seconds);
    link.busy += seconds.count();
    link.done[request] = link.free;
  }
  return error;
}

/// When the last of these has moved.
Clock::time_point moved(int count, MPI_Request const requests[]) {
  Clock::time_point last;
  for (int i = 0; i < count; ++i)
    if (auto const found = link.done.find(requests[i]); found != link.done.end()) last = std::max(last, found->second);
  return last;
}

void forget(int count, MPI_Request const requests[]) {
  for (int i = 0; i < count; ++i) link.done.erase(requests[i]);
}

} // namespace

void ModelledLink::open(double bytes_per_second) {
  link = {};
  link.bytes_per_second = bytes_per_second;
}
void ModelledLink::close() {
  link = {};
}
double ModelledLink::take_busy_seconds() {
  return std::exchange(link.busy, 0.0);
}

// The names and parameters are MPI's own.
extern "C" {
int MPI_Iallgather(void const* in, int in_count, MPI_Datatype in_type, void* out, int count, MPI_Datatype type,
                   MPI_Comm comm, MPI_Request* request) {
  int const error = PMPI_Iallgather(in, in_count, in_type, out, count, type, comm, request);
  return begin(error, *request, others_of(comm) * bytes_of(count, type));
}
int MPI_Iallreduce(void const* in, void* out, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm,
                   MPI_Request* request) {
  int const error = PMPI_Iallreduce(in, out, count, type, op, comm, request);
  double const others = others_of(comm);
  return begin(error, *request, 2 * others / (others + 1) * bytes_of(count, type));
}
int MPI_Ireduce_scatter_block(void const* in, void* out, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm,
                              MPI_Request* request) {
  int const error = PMPI_Ireduce_scatter_block(in, out, count, type, op, comm, request);
  return begin(error, *request, others_of(comm) * bytes_of(count, type));
}
int MPI_Waitall(int count, MPI_Request requests[], MPI_Status statuses[]) {
  std::this_thread::sleep_until(moved(count, requests));
  forget(count, requests);
  return PMPI_Waitall(count, requests, statuses);
}
int MPI_Testall(int count, MPI_Request requests[], int* done, MPI_Status statuses[]) {
  if (Clock::now() < moved(count, requests)) {
    *done = 0;
    return MPI_SUCCESS;
  }
  std::vector<MPI_Request> const tested(requests, requests + count);
  int const error = PMPI_Testall(count, requests, done, statuses);
  if (*done != 0) forget(count, tested.data());
  return error;
}
}

} // namespace dchag::bench
