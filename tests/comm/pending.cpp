// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/comm/pending.hpp>

#include "support/pmpi.hpp"

#include <doctest/doctest.h>

#include <support/arrays.hpp>

namespace comm_pending {

namespace comm = dchag::comm;
using comm::Communicator;
using comm::Pending;
using comm::Reduce;
using dchag::ShapeError;
using dchag::support::CommCount;
using dchag::test::assign;
using dchag::test::flat;
using Exec = Kokkos::DefaultExecutionSpace;
using Host = Kokkos::DefaultHostExecutionSpace;

namespace {
struct Ranks {
  Communicator communicator;
  std::size_t P = static_cast<std::size_t>(communicator.size());
  std::size_t rank = static_cast<std::size_t>(communicator.rank());
};

/// What rank r holds at flat index i: small integers, so that sums are exact in every type.
double number(std::size_t r, std::size_t i) {
  return static_cast<double>((r * 7 + i * 3 + r * i) % 11);
}
double sum(std::size_t P, std::size_t i) {
  double total = 0;
  for (std::size_t r = 0; r < P; ++r) total += number(r, i);
  return total;
}
template <class F>
std::vector<double> list(std::size_t count, F const& f) {
  std::vector<double> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = f(i);
  return values;
}

template <class SpaceType, class Number>
struct Case {
  using Space = SpaceType;
  using T = Number;
};
#define DCHAG_PENDING_CASES Case<Exec, float>, Case<Exec, double>, Case<Host, double>
} // namespace

TEST_CASE_TEMPLATE("what is begun is there after wait", C, DCHAG_PENDING_CASES) {
  using Space = typename C::Space;
  using T = typename C::T;
  Space const exec;
  Ranks const ranks;
  std::size_t const n = 6;
  auto const own = dchag::allocate<T>(exec, "own", dchag::Extents<1>{n});
  auto const gathered = dchag::allocate<T>(exec, "gathered", dchag::Extents<1>{n * ranks.P});
  auto const whole = dchag::allocate<T>(exec, "whole", dchag::Extents<1>{n * ranks.P});
  auto const part = dchag::allocate<T>(exec, "part", dchag::Extents<1>{n});
  auto const total = dchag::allocate<T>(exec, "total", dchag::Extents<1>{n});
  assign(own, list(n, [&](std::size_t i) { return number(ranks.rank, i); }));
  assign(whole, list(n * ranks.P, [&](std::size_t i) { return number(ranks.rank, i); }));
  assign(total, list(n, [&](std::size_t i) { return number(ranks.rank, i); }));

  bool const sends = ranks.P > 1;
  bool const gathers = !comm::detail::needs_staging<decltype(own)>; // otherwise made at once
  bool const reduces = !comm::detail::reduces_at_once<decltype(own)>;
  CommCount const count;
  auto gather = comm::start_all_gather(exec, ranks.communicator, own, gathered);
  auto scatter = comm::start_reduce_scatter(exec, ranks.communicator, whole, part);
  auto reduce = comm::start_all_reduce(exec, ranks.communicator, total, Reduce::sum);
  if (!sends) CHECK((gather.progress() && scatter.progress() && reduce.progress()));
  while (!scatter.progress()) {
  }
  reduce.wait(); // not in the order of the beginnings
  gather.wait();
  CHECK((gather.progress() && scatter.progress() && reduce.progress()));
  exec.fence();
  CHECK(flat(gathered) == list(n * ranks.P, [&](std::size_t i) { return number(i / n, i % n); }));
  CHECK(flat(part) == list(n, [&](std::size_t i) { return sum(ranks.P, ranks.rank * n + i); }));
  CHECK(flat(total) == list(n, [&](std::size_t i) { return sum(ranks.P, i); }));
  std::size_t const calls = sends ? 1 : 0;
  auto const name = [&](std::string function) {
    bool const begun = function == "allgather" ? gathers : reduces;
    if (!begun) function[0] = static_cast<char>(std::toupper(function[0]));
    return (begun ? "MPI_I" : "MPI_") + function;
  };
  CHECK(count.total_calls() == 3 * calls);
  CHECK(count.calls(name("allgather")) == calls);
  CHECK(count.bytes_sent(name("allgather")) == calls * n * sizeof(T));
  CHECK(count.calls(name("reduce_scatter_block")) == calls);
  CHECK(count.bytes_sent(name("reduce_scatter_block")) == calls * n * ranks.P * sizeof(T));
  CHECK(count.calls(name("allreduce")) == calls);
  CHECK(count.bytes_sent(name("allreduce")) == calls * n * sizeof(T));
}

TEST_CASE("numbers without a sign are compared as such, and their Pending can be waited for late") {
  Exec const exec;
  Ranks const ranks;
  std::size_t const n = 100;
  auto const value = [&](std::size_t r, std::size_t i) { return i % 2 == 0 ? 0x80000000u + unsigned(r) : unsigned(r); };
  dchag::Tensor<Exec, unsigned, 1> const largest("largest", n), least("least", n);
  auto const own = Kokkos::create_mirror_view(largest);
  for (std::size_t i = 0; i < n; ++i) own(i) = value(ranks.rank, i);
  Kokkos::deep_copy(largest, own);
  Kokkos::deep_copy(least, own);
  auto max = comm::start_all_reduce(exec, ranks.communicator, largest, Reduce::max);
  auto min = comm::start_all_reduce(exec, ranks.communicator, least, Reduce::min);
  min.wait();
  max.wait();
  std::size_t wrong = 0;
  Kokkos::deep_copy(own, largest);
  for (std::size_t i = 0; i < n; ++i) wrong += own(i) != value(ranks.P - 1, i) ? 1u : 0u;
  Kokkos::deep_copy(own, least);
  for (std::size_t i = 0; i < n; ++i) wrong += own(i) != value(0, i) ? 1u : 0u;
  CHECK(wrong == 0);
}

// Device memory that MPI takes but cannot begin to reduce: here the host's stands for it.
TEST_CASE("reductions that MPI cannot begin are made at their beginning, from the View's own memory") {
  Host const exec;
  Ranks const ranks;
  std::size_t const n = 6;
  dchag::HostTensor<double, 1> const total("total", n), whole("whole", n * ranks.P), part("part", n);
  for (std::size_t i = 0; i < n; ++i) total(i) = number(ranks.rank, i);
  for (std::size_t i = 0; i < n * ranks.P; ++i) whole(i) = number(ranks.rank, i);
  CommCount const count;
  auto reduce = comm::detail::start_all_reduce<false, true>(exec, ranks.communicator, total, Reduce::sum);
  auto scatter = comm::detail::start_reduce_scatter<false, true>(exec, ranks.communicator, whole, part);
  std::size_t const calls = ranks.P > 1 ? 1 : 0;
  CHECK((reduce.progress() && scatter.progress()));
  CHECK(count.calls("MPI_Allreduce") == calls);
  CHECK(count.calls("MPI_Reduce_scatter_block") == calls);
  CHECK(count.total_calls() == 2 * calls);
  CHECK(flat(total) == list(n, [&](std::size_t i) { return sum(ranks.P, i); }));
  CHECK(flat(part) == list(n, [&](std::size_t i) { return sum(ranks.P, ranks.rank * n + i); }));
}

TEST_CASE("a slice in its place is gathered in place, and the end of a Pending waits") {
  Exec const exec;
  Ranks const ranks;
  std::size_t const n = 1000;
  dchag::Tensor<Exec, double, 1> const gathered("gathered", n * ranks.P);
  dchag::Tensor<Exec, double, 1> const own(gathered, std::pair(ranks.rank * n, (ranks.rank + 1) * n));
  assign(own, list(n, [&](std::size_t i) { return number(ranks.rank, i); }));
  CommCount const count;
  { auto const pending = comm::start_all_gather(exec, ranks.communicator, own, gathered); }
  CHECK(flat(gathered) == list(n * ranks.P, [&](std::size_t i) { return number(i / n, i % n); }));
  CHECK(count.total_bytes_sent() == (ranks.P > 1 ? n * sizeof(double) : 0));
}

TEST_CASE("a Pending moves, and takes another after waiting for its own") {
  Exec const exec;
  Ranks const ranks;
  dchag::Tensor<Exec, float, 1> const first("first", 5), second("second", 5);
  assign(first, list(5, [&](std::size_t i) { return number(ranks.rank, i); }));
  assign(second, list(5, [&](std::size_t i) { return number(ranks.rank, i); }));
  Pending kept = comm::start_all_reduce(exec, ranks.communicator, first, Reduce::sum);
  Pending moved(std::move(kept));
  CHECK(kept.progress());
  moved = comm::start_all_reduce(exec, ranks.communicator, second, Reduce::max);
  CHECK(flat(first) == list(5, [&](std::size_t i) { return sum(ranks.P, i); }));
  moved.wait();
  CHECK(flat(second) == list(5, [&](std::size_t i) {
          double largest = 0;
          for (std::size_t r = 0; r < ranks.P; ++r) largest = std::max(largest, number(r, i));
          return largest;
        }));
}

TEST_CASE("a barrier is passed when every rank has begun it") {
  Ranks const ranks;
  auto late = comm::start_barrier(ranks.communicator);
  if (ranks.rank + 1 < ranks.P) late.progress();
  late.wait();
  CHECK(late.progress());
  CommCount const count;
  auto const alone = comm::Communicator::self();
  CHECK(comm::start_barrier(alone).progress());
  CHECK(count.total_calls() == 0);
}

TEST_CASE("an exception leaves what is under way without waiting for ranks that never begin") {
  Exec const exec;
  Ranks const ranks;
  static dchag::Tensor<Exec, float, 1>* const view =
      new dchag::Tensor<Exec, float, 1>("view", 5); // MPI may still write
  Communicator const group;                         // its messages meet those of no other
  bool const begins = ranks.rank == 0 && !comm::detail::reduces_at_once<dchag::Tensor<Exec, float, 1>>;
  auto const step = [&] {
    Pending pending;
    if (begins) pending = comm::start_all_reduce(exec, group, *view, Reduce::sum);
    throw dchag::Error("in the middle of a step");
  };
  CHECK_THROWS_AS(step(), dchag::Error);
  CHECK(comm::all_reduce(ranks.communicator, 1, Reduce::sum) == static_cast<int>(ranks.P));
  // the others follow, so that MPI ends in order; the group is not freed under what was left
  if (!begins) comm::start_all_reduce(exec, group, *view, Reduce::sum).wait();
  CHECK(*group.abandoned() == (begins && ranks.P > 1));
}

TEST_CASE("extents that do not fit are refused before anything is sent, and nothing is sent of nothing") {
  Exec const exec;
  Ranks const ranks;
  dchag::Tensor<Exec, float, 2> const own("own", 2, 3), whole("whole", 2 * ranks.P, 3), wide("wide", 2 * ranks.P, 4);
  dchag::Tensor<Exec, float, 2> const inside(whole.data(), 2, 3);
  dchag::Tensor<Exec, float, 1> const nothing("nothing", 0);
  CommCount const count;
  CHECK_THROWS_WITH_AS(comm::start_all_gather(exec, ranks.communicator, own, wide).wait(),
                       doctest::Contains("start_all_gather: gathered is"), ShapeError);
  CHECK_THROWS_AS(comm::start_reduce_scatter(exec, ranks.communicator, wide, own).wait(), ShapeError);
  CHECK_THROWS_WITH_AS(comm::start_reduce_scatter(exec, ranks.communicator, whole, inside).wait(),
                       "start_reduce_scatter: own overlaps whole, expected memory of its own", ShapeError);
  CHECK_THROWS_AS(comm::start_all_reduce(exec, ranks.communicator,
                                         Kokkos::subview(whole, Kokkos::ALL, std::make_pair(0, 2)), Reduce::sum)
                      .wait(),
                  ShapeError);
  comm::start_all_gather(exec, ranks.communicator, nothing, nothing).wait();
  comm::start_all_reduce(exec, ranks.communicator, nothing, Reduce::sum).wait();
  CHECK(count.total_calls() == 0);
}

TEST_CASE("counts beyond the limit go in pieces and give the same") {
  Ranks const ranks;
  namespace detail = comm::detail;
  for (std::size_t const limit : {1u, 3u, 10u, 11u, 1000u}) {
    CAPTURE(limit);
    std::size_t const n = 10;
    std::vector<float> own(n), gathered(n * ranks.P), whole(n * ranks.P), slice(n), sums(n);
    for (std::size_t i = 0; i < n; ++i) own[i] = sums[i] = static_cast<float>(number(ranks.rank, i));
    for (std::size_t i = 0; i < whole.size(); ++i) whole[i] = static_cast<float>(number(ranks.rank, i));
    detail::Requests requests;
    CommCount const count;
    detail::mpi_start_all_gather(ranks.communicator, own.data(), gathered.data(), n, requests, limit);
    detail::mpi_start_reduce_scatter(ranks.communicator, whole.data(), slice.data(), n, requests, limit);
    detail::mpi_start_all_reduce(ranks.communicator, sums.data(), n, MPI_SUM, requests, limit);
    std::size_t const pieces = (n + limit - 1) / limit;
    CHECK(count.calls("MPI_Ireduce") == (n * ranks.P <= limit ? 0 : ranks.P * pieces));
    CHECK(count.calls("MPI_Iallreduce") == pieces);
    CHECK(requests.size() == count.total_calls());
    Pending(ranks.communicator, std::move(requests)).wait();
    CHECK(flat(gathered) == list(n * ranks.P, [&](std::size_t i) { return number(i / n, i % n); }));
    CHECK(flat(slice) == list(n, [&](std::size_t i) { return sum(ranks.P, ranks.rank * n + i); }));
    CHECK(flat(sums) == list(n, [&](std::size_t i) { return sum(ranks.P, i); }));
  }
}

} // namespace comm_pending
