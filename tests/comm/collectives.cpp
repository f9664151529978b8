// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/comm/collectives.hpp>
#include <dchag/core/parallel.hpp>

#include "support/pmpi.hpp"

#include <doctest/doctest.h>

namespace comm_collectives {

namespace comm = dchag::comm;
using comm::Communicator;
using comm::Reduce;
using dchag::CommError;
using dchag::ShapeError;
using dchag::support::CommCount;
using Exec = Kokkos::DefaultExecutionSpace;
using Host = Kokkos::DefaultHostExecutionSpace;

namespace {
/// What rank r holds at flat index i: small integers, so that sums are exact in every type.
template <class T>
T number(std::size_t r, std::size_t i) {
  return static_cast<T>((r * 7 + i * 3 + r * i) % 11);
}

template <class View, class F>
void fill(View const& view, F const& f) {
  auto const host = Kokkos::create_mirror_view(view);
  for (std::size_t i = 0; i < host.size(); ++i) host.data()[i] = f(i);
  Kokkos::deep_copy(view, host);
}

template <class View, class F>
std::size_t differences(View const& view, F const& f) {
  auto const host = Kokkos::create_mirror_view(view);
  Kokkos::deep_copy(host, view);
  std::size_t count = 0;
  for (std::size_t i = 0; i < host.size(); ++i) count += host.data()[i] != f(i) ? 1u : 0u;
  return count;
}

struct Ranks {
  Communicator communicator;
  std::size_t P = static_cast<std::size_t>(communicator.size());
  std::size_t rank = static_cast<std::size_t>(communicator.rank());
};

template <class T>
T reduced(Reduce op, std::size_t P, std::size_t i) {
  T result = number<T>(0, i);
  for (std::size_t r = 1; r < P; ++r) {
    T const next = number<T>(r, i);
    if (op == Reduce::sum) result = static_cast<T>(result + next);
    if (op == Reduce::max) result = std::max(result, next);
    if (op == Reduce::min) result = std::min(result, next);
  }
  return result;
}

// Each body is run as the library would, and through staging memory, which on the host is never needed.
struct AsNeeded {
  using Space = Exec;
  template <class... A>
  static void all_gather(A const&... a) {
    comm::all_gather(Space(), a...);
  }
  template <class... A>
  static void all_reduce(A const&... a) {
    comm::all_reduce(Space(), a...);
  }
  template <class... A>
  static void reduce_scatter(A const&... a) {
    comm::reduce_scatter(Space(), a...);
  }
  template <class... A>
  static void broadcast(A const&... a) {
    comm::broadcast(Space(), a...);
  }
};
struct Staged {
  using Space = Host;
  template <class... A>
  static void all_gather(A const&... a) {
    comm::detail::all_gather<true>(Space(), a...);
  }
  template <class... A>
  static void all_reduce(A const&... a) {
    comm::detail::all_reduce<true>(Space(), a...);
  }
  template <class... A>
  static void reduce_scatter(A const&... a) {
    comm::detail::reduce_scatter<true>(Space(), a...);
  }
  template <class... A>
  static void broadcast(A const&... a) {
    comm::detail::broadcast<true>(Space(), a...);
  }
};
template <class WayType, class T>
struct Case {
  using Way = WayType;
  using Space = typename Way::Space;
  using type = T;
};
#define DCHAG_COLLECTIVES_CASES                                                                                        \
  Case<AsNeeded, float>, Case<AsNeeded, double>, Case<AsNeeded, int>, Case<AsNeeded, std::size_t>,                     \
      Case<AsNeeded, unsigned char>, Case<Staged, float>, Case<Staged, double>, Case<Staged, std::int64_t>
} // namespace

TEST_CASE_TEMPLATE("all_gather puts the slices in rank order", C, DCHAG_COLLECTIVES_CASES) {
  using T = typename C::type;
  Ranks const ranks;
  dchag::Tensor<typename C::Space, T, 3> own("own", 2, 3, 5);
  dchag::Tensor<typename C::Space, T, 3> gathered("gathered", 2 * ranks.P, 3, 5);
  fill(own, [&](std::size_t i) { return number<T>(ranks.rank, i); });
  CommCount const count;
  C::Way::all_gather(ranks.communicator, own, gathered);
  bool const sends = ranks.P > 1;
  CHECK(differences(gathered, [](std::size_t i) { return number<T>(i / 30, i % 30); }) == 0);
  CHECK(differences(own, [&](std::size_t i) { return number<T>(ranks.rank, i); }) == 0);
  CHECK(count.total_calls() == (sends ? 1 : 0));
  CHECK(count.bytes_sent("MPI_Allgather") == (sends ? 30 * sizeof(T) : 0));
}

TEST_CASE_TEMPLATE("all_gather takes a slice that is in its place already", C, DCHAG_COLLECTIVES_CASES) {
  using T = typename C::type;
  Ranks const ranks;
  dchag::Tensor<typename C::Space, T, 2> gathered("gathered", 4 * ranks.P, 3);
  dchag::Tensor<typename C::Space, T const, 2> own(gathered.data() + 12 * ranks.rank, 4, 3);
  fill(gathered, [&](std::size_t i) { return i / 12 == ranks.rank ? number<T>(ranks.rank, i % 12) : T(99); });
  CommCount const count;
  C::Way::all_gather(ranks.communicator, own, gathered);
  CHECK(differences(gathered, [](std::size_t i) { return number<T>(i / 12, i % 12); }) == 0);
  CHECK(count.bytes_sent("MPI_Allgather") == (ranks.P > 1 ? 12 * sizeof(T) : 0));
}

TEST_CASE_TEMPLATE("all_reduce reduces in place", C, DCHAG_COLLECTIVES_CASES) {
  using T = typename C::type;
  Ranks const ranks;
  dchag::Tensor<typename C::Space, T, 3> view("view", 2, 3, 4);
  for (auto const op : {Reduce::sum, Reduce::max, Reduce::min}) {
    fill(view, [&](std::size_t i) { return number<T>(ranks.rank, i); });
    CommCount const count;
    C::Way::all_reduce(ranks.communicator, view, op);
    CHECK(differences(view, [&](std::size_t i) { return reduced<T>(op, ranks.P, i); }) == 0);
    CHECK(count.total_calls() == (ranks.P > 1 ? 1 : 0));
    CHECK(count.bytes_sent("MPI_Allreduce") == (ranks.P > 1 ? 24 * sizeof(T) : 0));
  }
  Kokkos::View<T, typename C::Space::memory_space> single("single");
  fill(single, [&](std::size_t) { return static_cast<T>(ranks.rank + 1); });
  C::Way::all_reduce(ranks.communicator, single, Reduce::sum);
  CHECK(differences(single, [&](std::size_t) { return static_cast<T>(ranks.P * (ranks.P + 1) / 2); }) == 0);
}

TEST_CASE_TEMPLATE("reduce_scatter leaves each rank its slice of the sum", C, DCHAG_COLLECTIVES_CASES) {
  using T = typename C::type;
  Ranks const ranks;
  dchag::Tensor<typename C::Space, T, 2> whole("whole", 2 * ranks.P, 5);
  dchag::Tensor<typename C::Space, T, 2> own("own", 2, 5);
  fill(whole, [&](std::size_t i) { return number<T>(ranks.rank, i); });
  CommCount const count;
  C::Way::reduce_scatter(ranks.communicator, whole, own);
  auto const expected = [&](std::size_t i) { return reduced<T>(Reduce::sum, ranks.P, ranks.rank * 10 + i); };
  CHECK(differences(own, expected) == 0);
  CHECK(differences(whole, [&](std::size_t i) { return number<T>(ranks.rank, i); }) == 0);
  CHECK(count.total_calls() == (ranks.P > 1 ? 1 : 0));
  CHECK(count.bytes_sent("MPI_Reduce_scatter_block") == (ranks.P > 1 ? ranks.P * 10 * sizeof(T) : 0));
}

TEST_CASE_TEMPLATE("broadcast gives everyone the root's numbers", C, DCHAG_COLLECTIVES_CASES) {
  using T = typename C::type;
  Ranks const ranks;
  dchag::Tensor<typename C::Space, T, 2> view("view", 7, 3);
  for (std::size_t root = 0; root < ranks.P; ++root) {
    fill(view, [&](std::size_t i) { return number<T>(ranks.rank, i); });
    CommCount const count;
    C::Way::broadcast(ranks.communicator, view, static_cast<int>(root));
    CHECK(differences(view, [&](std::size_t i) { return number<T>(root, i); }) == 0);
    CHECK(count.total_calls() == (ranks.P > 1 ? 1 : 0));
    CHECK(count.total_bytes_sent() == (ranks.P > 1 && ranks.rank == root ? 21 * sizeof(T) : 0));
  }
}

TEST_CASE("collectives wait for the work before them and repeat without new memory") {
  Ranks const ranks;
  Host const exec;
  dchag::HostTensor<double, 1> view("view", 1000);
  double* const staging = ranks.communicator.staging<double>(1000);
  std::size_t wrong = 0;
  for (int repeat = 0; repeat < 5; ++repeat) {
    dchag::for_each_element(exec, "dchag::test::fill", 1, 1000, [view, rank = ranks.rank](std::size_t, std::size_t i) {
      view(i) = number<double>(rank, i);
    });
    comm::detail::all_reduce<true>(exec, ranks.communicator, view, Reduce::sum);
    wrong += differences(view, [&](std::size_t i) { return reduced<double>(Reduce::sum, ranks.P, i); });
  }
  CHECK(wrong == 0);
  CHECK(ranks.communicator.staging<double>(1000) == staging);
}

TEST_CASE("nothing is sent of nothing") {
  Ranks const ranks;
  dchag::Tensor<Exec, float, 2> own("own", 0, 3);
  dchag::Tensor<Exec, float, 2> gathered("gathered", 0, 3);
  CommCount const count;
  comm::all_gather(Exec(), ranks.communicator, own, gathered);
  comm::reduce_scatter(Exec(), ranks.communicator, gathered, own);
  comm::all_reduce(Exec(), ranks.communicator, own, Reduce::sum);
  comm::broadcast(Exec(), ranks.communicator, own, 0);
  CHECK(count.total_calls() == 0);
}

TEST_CASE("numbers on the host reduce by value") {
  Ranks const ranks;
  int const rank = ranks.communicator.rank();
  int const size = ranks.communicator.size();
  auto const lowest = comm::all_reduce(ranks.communicator, rank, Reduce::min);
  auto const sum = comm::all_reduce(ranks.communicator, 0.5 * rank, Reduce::sum);
  auto const both = comm::all_reduce(ranks.communicator, std::vector<std::int64_t>{rank, -rank}, Reduce::max);
  CHECK(lowest == 0);
  CHECK(sum == 0.25 * size * (size - 1));
  CHECK(both == std::vector<std::int64_t>{size - 1, 0});
}

TEST_CASE_TEMPLATE("numbers without a sign are compared as such", C, Case<AsNeeded, unsigned char>,
                   Case<AsNeeded, unsigned>, Case<AsNeeded, unsigned long>, Case<AsNeeded, unsigned long long>,
                   Case<Staged, unsigned>) {
  using T = typename C::type;
  Ranks const ranks;
  // Rank r has 2^(bits - 1) + r at even places, where the first bit is a sign if it is taken for one; r at odd ones,
  // and at the last of all places the opposite order.
  T const half = static_cast<T>(std::numeric_limits<T>::max() / 2 + 1);
  std::size_t const n = 1001;
  auto const value = [&](std::size_t r, std::size_t i) {
    if (i == n - 1) return static_cast<T>(r == 0 ? half + 1 : r); // the largest on rank 0, the least on rank 1
    return static_cast<T>(i % 2 == 0 ? half + r : r);
  };
  auto const expected = [&](Reduce op, std::size_t i) {
    std::size_t const last = ranks.P - 1;
    if (i == n - 1) return value(op == Reduce::max || last == 0 ? 0 : 1, i);
    return value(op == Reduce::max ? last : 0, i);
  };
  for (auto const op : {Reduce::max, Reduce::min}) {
    dchag::Tensor<typename C::Space, T, 1> view("view", n);
    fill(view, [&](std::size_t i) { return value(ranks.rank, i); });
    C::Way::all_reduce(ranks.communicator, view, op);
    CHECK(differences(view, [&](std::size_t i) { return expected(op, i); }) == 0);

    std::vector<T> list(n);
    for (std::size_t i = 0; i < n; ++i) list[i] = value(ranks.rank, i);
    auto const reduced_list = comm::all_reduce(ranks.communicator, list, op);
    auto const reduced_number = comm::all_reduce(ranks.communicator, value(ranks.rank, n - 1), op);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < n; ++i) wrong += reduced_list[i] != expected(op, i) ? 1u : 0u;
    CHECK(wrong == 0);
    CHECK(reduced_number == expected(op, n - 1));
  }
}

TEST_CASE("a number of one rank is every rank's, bit for bit") {
  Ranks const ranks;
  auto const P = static_cast<int>(ranks.P);
  for (int root = 0; root < P; ++root) {
    double const own = 0.1 + 1e-17 * static_cast<double>(ranks.rank) + static_cast<double>(ranks.rank);
    CHECK(comm::from_rank(ranks.communicator, root, own) == 0.1 + 1e-17 * root + root);
  }
  auto const first_is_nan = comm::from_rank(ranks.communicator, 0, ranks.rank == 0 ? std::nan("") : 1.0);
  CHECK(first_is_nan != first_is_nan);
}

TEST_CASE("collectives on a part of the ranks leave the others alone") {
  Ranks const ranks;
  auto const part = ranks.communicator.split(ranks.rank < 2 ? 0 : 1, 0);
  auto const sum = comm::all_reduce(part, static_cast<int>(ranks.rank), Reduce::sum);
  int const expected = ranks.rank < 2 ? (ranks.P > 1 ? 1 : 0) : (ranks.P > 3 ? 5 : 2);
  CHECK(sum == expected);
}

TEST_CASE("counts beyond the limit go in pieces and give the same") {
  Ranks const ranks;
  namespace detail = comm::detail;
  for (std::size_t const limit : {1u, 3u, 5u, 10u, 11u, 1000u}) {
    CAPTURE(limit);
    std::size_t const n = 10;
    std::vector<float> own(n), gathered(n * ranks.P), whole(n * ranks.P), slice(n), sent(n), sums(n);
    for (std::size_t i = 0; i < n; ++i) own[i] = sent[i] = sums[i] = number<float>(ranks.rank, i);
    for (std::size_t i = 0; i < whole.size(); ++i) whole[i] = number<float>(ranks.rank, i);
    auto in_place = gathered;
    auto* const place = in_place.data() + ranks.rank * n;
    std::copy(own.begin(), own.end(), place);

    CommCount const count;
    detail::mpi_all_gather(ranks.communicator, own.data(), gathered.data(), n, limit);
    detail::mpi_all_gather<float>(ranks.communicator, place, in_place.data(), n, limit);
    detail::mpi_reduce_scatter(ranks.communicator, whole.data(), slice.data(), n, limit);
    detail::mpi_all_reduce(ranks.communicator, sums.data(), n, MPI_SUM, limit);
    detail::mpi_broadcast(ranks.communicator, sent.data(), n, 0, limit);

    std::size_t wrong = 0;
    for (std::size_t i = 0; i < n * ranks.P; ++i) wrong += gathered[i] != number<float>(i / n, i % n) ? 1u : 0u;
    for (std::size_t i = 0; i < n; ++i) {
      wrong += slice[i] != reduced<float>(Reduce::sum, ranks.P, ranks.rank * n + i) ? 1u : 0u;
      wrong += sums[i] != reduced<float>(Reduce::sum, ranks.P, i) ? 1u : 0u;
      wrong += sent[i] != number<float>(0, i) ? 1u : 0u;
    }
    std::size_t const pieces = (n + limit - 1) / limit;
    bool const whole_at_once = n * ranks.P <= limit;
    CHECK(wrong == 0);
    CHECK(in_place == gathered);
    CHECK(count.calls("MPI_Allgather") == 2);
    CHECK(count.bytes_sent("MPI_Allgather") == 2 * n * sizeof(float));
    CHECK(count.calls("MPI_Reduce_scatter_block") == (whole_at_once ? 1 : 0));
    CHECK(count.calls("MPI_Reduce") == (whole_at_once ? 0 : ranks.P * pieces));
    CHECK(count.calls("MPI_Allreduce") == pieces);
    CHECK(count.bytes_sent("MPI_Allreduce") == n * sizeof(float));
    CHECK(count.calls("MPI_Bcast") == pieces);
  }
}

TEST_CASE("extents that do not fit are refused before anything is sent") {
  Ranks const ranks;
  dchag::Tensor<Exec, float, 2> own("own", 2, 3);
  dchag::Tensor<Exec, float, 2> wide("wide", 2 * ranks.P, 4);
  dchag::Tensor<Exec, float, 2> whole("whole", 2 * ranks.P, 3);
  auto const upper = Kokkos::subview(whole, Kokkos::ALL, std::make_pair(0, 2)); // rows with gaps between them
  CommCount const count;
  auto const sentence = dchag::concat("all_gather: gathered is (", 2 * ranks.P, ", 4), expected (", 2 * ranks.P,
                                      ", 3) (own (2, 3) on each of P = ", ranks.P, " ranks)");
  CHECK_THROWS_WITH_AS(comm::all_gather(Exec(), ranks.communicator, own, wide), sentence.c_str(), ShapeError);
  CHECK_THROWS_AS(comm::reduce_scatter(Exec(), ranks.communicator, wide, own), ShapeError);
  dchag::Tensor<Exec, float, 2> inside(whole.data(), 2, 3);
  CHECK_THROWS_AS(comm::reduce_scatter(Exec(), ranks.communicator, whole, inside), ShapeError);
  CHECK_THROWS_WITH_AS(comm::all_reduce(Exec(), ranks.communicator, upper, Reduce::sum),
                       doctest::Contains("is not contiguous"), ShapeError);
  CHECK_THROWS_AS(comm::broadcast(Exec(), ranks.communicator, own, static_cast<int>(ranks.P)), CommError);
  CHECK_THROWS_AS(comm::broadcast(Exec(), ranks.communicator, own, -1), CommError);
  CHECK(count.total_calls() == 0);
}

} // namespace comm_collectives
