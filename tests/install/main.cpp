// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/core/parallel.hpp>
#include <dchag/core/tensor.hpp>

#include <cstdio>

// What a user of the library does first, from outside: prints "sum 66, expected 66".
int main(int argc, char** argv) {
  Kokkos::ScopeGuard const kokkos(argc, argv);
  Kokkos::DefaultExecutionSpace const exec;

  auto const table = dchag::allocate<double>(exec, "table", dchag::Extents<2>{3, 4}); // (3, 4)
  dchag::for_each_element(
      exec, "consumer::fill", 3, 4, KOKKOS_LAMBDA(std::size_t row, std::size_t column) {
        table(row, column) = static_cast<double>(4 * row + column);
      });

  auto const host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), table);
  double sum = 0;
  for (std::size_t row = 0; row < 3; ++row)
    for (std::size_t column = 0; column < 4; ++column) sum += host(row, column);
  std::printf("sum %g, expected 66\n", sum);
  return sum == 66 ? 0 : 1;
}
