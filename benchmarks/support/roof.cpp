// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "benchmarks/support/roof.hpp"

#include <dchag/comm/collectives.hpp>
#include <dchag/ops/gemm.hpp>

#include <algorithm>
#include <chrono>

namespace dchag::bench {
namespace {

using Exec = Kokkos::DefaultExecutionSpace;
constexpr std::size_t edge = 1024; // of the product

/// What all ranks do in a second if each does `amount` in the time of the slowest; the best of a quarter of a second.
template <class Body>
double best_rate(comm::Communicator const& communicator, double amount, Body const& body) {
  using Clock = std::chrono::steady_clock;
  double shortest = 0;
  double total = 0;
  for (int run = 0; run < 2 || total < 0.25; ++run) {
    Kokkos::fence();
    comm::all_reduce(communicator, 0, comm::Reduce::sum); // start together
    auto const begin = Clock::now();
    body();
    Kokkos::fence();
    double const own = std::chrono::duration<double>(Clock::now() - begin).count();
    double const slowest = comm::all_reduce(communicator, own, comm::Reduce::max);
    if (run == 0) continue; // touches the memory
    shortest = total == 0 ? slowest : std::min(shortest, slowest);
    total += slowest;
  }
  return amount * communicator.size() / shortest;
}

double copy_rate(comm::Communicator const& communicator) {
  Exec const exec;
  std::size_t const count = std::size_t{16} << 20; // 128 MiB of double
  auto const from = allocate<double>(exec, "dchag::bench::from", Extents<1>{count});
  auto const to = allocate<double>(exec, "dchag::bench::to", Extents<1>{count});
  Kokkos::deep_copy(from, 1.0);
  return best_rate(communicator, 2.0 * sizeof(double) * static_cast<double>(count),
                   [&] { Kokkos::deep_copy(exec, to, from); });
}

double const product_operations = 2.0 * edge * edge * edge;

template <class T>
double product_rate(comm::Communicator const& communicator) {
  Exec const exec;
  auto const a = allocate<T>(exec, "dchag::bench::a", Extents<2>{edge, edge});
  auto const b = allocate<T>(exec, "dchag::bench::b", Extents<2>{edge, edge});
  auto const c = allocate<T>(exec, "dchag::bench::c", Extents<2>{edge, edge});
  Kokkos::deep_copy(a, T(1));
  Kokkos::deep_copy(b, T(1));
  return best_rate(communicator, product_operations,
                   [&] { ops::gemm(exec, ops::Op::none, ops::Op::none, T(1), a, b, T(0), c); });
}

template <class T>
double eigen_rate(comm::Communicator const& communicator) {
  using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  auto const n = static_cast<Eigen::Index>(edge);
  Matrix const a = Matrix::Ones(n, n);
  Matrix const b = Matrix::Ones(n, n);
  Matrix c(n, n);
  int const threads = Eigen::nbThreads();
  Eigen::setNbThreads(1);
  double const rate = best_rate(communicator, product_operations, [&] { c.noalias() = a * b; });
  Eigen::setNbThreads(threads);
  return rate;
}

} // namespace

Roof measure_roof(comm::Communicator const& communicator) {
  return {copy_rate(communicator), product_rate<float>(communicator), product_rate<double>(communicator),
          eigen_rate<float>(communicator), eigen_rate<double>(communicator)};
}

} // namespace dchag::bench
