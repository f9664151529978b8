// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/comm/gather_gradient.hpp>

#include "support/pmpi.hpp"

#include <doctest/doctest.h>

namespace comm_gather_gradient {

namespace comm = dchag::comm;
using dchag::support::CommCount;
using Exec = Kokkos::DefaultExecutionSpace;

namespace {
double partial(std::size_t rank, std::size_t i) {
  return static_cast<double>((5 * rank + 3 * i + rank * i) % 13) - 6;
}
double token(std::size_t rank, std::size_t i) {
  return static_cast<double>((2 * rank + 7 * i) % 9) - 4;
}

/// A number of ranks, and two axes: each rank has (2, 3), all have (2 P, 3).
struct Setup {
  comm::Communicator communicator;
  std::size_t P = static_cast<std::size_t>(communicator.size());
  std::size_t rank = static_cast<std::size_t>(communicator.rank());
  dchag::Tensor<Exec, double, 2> own{"own", 2, 3};
  dchag::Tensor<Exec, double, 2> gathered{"gathered", 2 * P, 3};
  dchag::Tensor<Exec, double, 2> d_own{"d_own", 2, 3};
  dchag::Tensor<Exec, double, 2> d_gathered{"d_gathered", 2 * P, 3};

  template <class F>
  static void fill(dchag::Tensor<Exec, double, 2> const& view, F const& f) {
    auto const host = Kokkos::create_mirror_view(view);
    for (std::size_t i = 0; i < host.size(); ++i) host.data()[i] = f(i);
    Kokkos::deep_copy(view, host);
  }
  static std::vector<double> read(dchag::Tensor<Exec, double, 2> const& view) {
    auto const host = Kokkos::create_mirror_view(view);
    Kokkos::deep_copy(host, view);
    return {host.data(), host.data() + host.size()};
  }
};
} // namespace

TEST_CASE("OwnSlice takes this rank's slice and sends nothing") {
  Setup s;
  s.fill(s.d_gathered, [](std::size_t i) { return partial(0, i); }); // the same on all ranks
  CommCount const count;
  comm::all_gather_backward(comm::OwnSlice(), Exec(), s.communicator, s.d_gathered, s.d_own);
  Exec().fence();
  auto const found = s.read(s.d_own);
  CHECK(count.total_calls() == 0);
  for (std::size_t i = 0; i < 6; ++i) CHECK(found[i] == partial(0, 6 * s.rank + i));
}

TEST_CASE("OwnSlice leaves a slice that is in its place") {
  Setup s;
  s.fill(s.d_gathered, [](std::size_t i) { return partial(0, i); });
  auto const before = s.read(s.d_gathered);
  dchag::Tensor<Exec, double, 2> const place(s.d_gathered.data() + 6 * s.rank, 2, 3);
  comm::all_gather_backward(comm::OwnSlice(), Exec(), s.communicator, s.d_gathered, place);
  CHECK(s.read(s.d_gathered) == before);
}

TEST_CASE("ReduceScatter adds the ranks' parts") {
  Setup s;
  s.fill(s.d_gathered, [&](std::size_t i) { return partial(s.rank, i); });
  CommCount const count;
  comm::all_gather_backward(comm::ReduceScatter(), Exec(), s.communicator, s.d_gathered, s.d_own);
  auto const found = s.read(s.d_own);
  CHECK(count.total_calls() == (s.P > 1 ? 1 : 0));
  CHECK(count.bytes_sent("MPI_Reduce_scatter_block") == (s.P > 1 ? s.P * 6 * sizeof(double) : 0));
  for (std::size_t i = 0; i < 6; ++i) {
    double expected = 0;
    for (std::size_t r = 0; r < s.P; ++r) expected += partial(r, 6 * s.rank + i);
    CHECK(found[i] == expected);
  }
}

// <gather(x), y> = <x, gather'(y)>, where the product on the left is taken as the losses are: once if the gathered
// tokens are used by a replicated consumer, and summed over the ranks if each rank has a loss of its own.
TEST_CASE("each policy is the adjoint of the gather for its kind of loss") {
  Setup s;
  s.fill(s.own, [&](std::size_t i) { return token(s.rank, i); });
  comm::all_gather(Exec(), s.communicator, s.own, s.gathered);
  auto const dot = [](std::vector<double> const& a, std::vector<double> const& b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
    return sum;
  };

  s.fill(s.d_gathered, [](std::size_t i) { return partial(1, i); });
  comm::all_gather_backward(comm::OwnSlice(), Exec(), s.communicator, s.d_gathered, s.d_own);
  Exec().fence();
  double const replicated = dot(s.read(s.gathered), s.read(s.d_gathered));
  double const by_slices = comm::all_reduce(s.communicator, dot(s.read(s.own), s.read(s.d_own)), comm::Reduce::sum);

  s.fill(s.d_gathered, [&](std::size_t i) { return partial(s.rank, i); });
  comm::all_gather_backward(comm::ReduceScatter(), Exec(), s.communicator, s.d_gathered, s.d_own);
  double const losses =
      comm::all_reduce(s.communicator, dot(s.read(s.gathered), s.read(s.d_gathered)), comm::Reduce::sum);
  double const by_sums = comm::all_reduce(s.communicator, dot(s.read(s.own), s.read(s.d_own)), comm::Reduce::sum);
  CHECK(by_slices == replicated);
  CHECK(by_sums == losses);
}

TEST_CASE("extents that do not fit are refused") {
  Setup s;
  dchag::Tensor<Exec, double, 2> const narrow("narrow", 2, 2);
  CHECK_THROWS_WITH_AS(comm::all_gather_backward(comm::OwnSlice(), Exec(), s.communicator, s.d_gathered, narrow),
                       doctest::Contains("all_gather_backward: d_gathered is"), dchag::ShapeError);
  CHECK_THROWS_AS(comm::all_gather_backward(comm::ReduceScatter(), Exec(), s.communicator, s.d_gathered, narrow),
                  dchag::ShapeError);
}

} // namespace comm_gather_gradient
