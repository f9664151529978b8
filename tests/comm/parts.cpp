// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/comm/parts.hpp>

#include <support/arrays.hpp>
#include <support/distributed.hpp>

namespace comm_parts {

using namespace dchag;
using namespace dchag::test;

namespace {
// what rank `rank` has at row i, column j
double value(int rank, std::size_t i, std::size_t j) {
  return static_cast<double>(rank + 1) * 100 + static_cast<double>(i) + static_cast<double>(j) / 8;
}

template <bool Staged>
void check_parts(std::size_t rows_of_all, std::size_t columns) {
  using Space = Kokkos::DefaultExecutionSpace;
  CAPTURE(rows_of_all);
  Space const exec;
  comm::Communicator const world;
  Range const own = comm::own_part(world, rows_of_all);
  auto const whole = filled_tensor<double>(exec, {rows_of_all, columns}, 0);
  std::vector<double> values(rows_of_all * columns), sums(rows_of_all * columns), gathered(rows_of_all * columns);
  for (std::size_t i = 0; i < rows_of_all; ++i)
    for (std::size_t j = 0; j < columns; ++j) {
      values[i * columns + j] = value(world.rank(), i, j);
      for (int rank = 0; rank < world.size(); ++rank) {
        sums[i * columns + j] += value(rank, i, j);
        auto const part =
            even_part(rows_of_all, static_cast<std::size_t>(world.size()), static_cast<std::size_t>(rank));
        if (part.contains(i)) gathered[i * columns + j] = value(rank, i, j);
      }
    }
  assign(whole, values);
  auto const sum = filled_tensor<double>(exec, {own.size(), columns}, -1);
  comm::detail::reduce_scatter_parts<Staged>(exec, world, whole, sum);
  exec.fence();
  CHECK(flat(whole) == values);
  CHECK(flat(sum) == std::vector(sums.begin() + static_cast<std::ptrdiff_t>(own.begin * columns),
                                 sums.begin() + static_cast<std::ptrdiff_t>(own.end * columns)));
  comm::detail::all_gather_parts<Staged>(exec, world, whole);
  exec.fence();
  CHECK(flat(whole) == gathered);
}
} // namespace

TEST_CASE("parts of rows are gathered and summed, whatever their number") {
  for (std::size_t const rows_of_all : {1u, 2u, 3u, 4u, 7u, 12u, 0u}) {
    check_parts<false>(rows_of_all, 5);
    check_parts<true>(rows_of_all, 5);
  }
}

TEST_CASE("a part of another size is refused before anything is sent") {
  using Space = Kokkos::DefaultExecutionSpace;
  Space const exec;
  comm::Communicator const world;
  auto const whole = filled_tensor<float>(exec, {12, 2}, 0);
  auto const own = filled_tensor<float>(exec, {comm::own_part(world, 12).size() + 1, 2}, 0);
  support::CommCount const count;
  CHECK_THROWS_AS(comm::reduce_scatter_parts(exec, world, whole, own), ShapeError);
  CHECK(count.total_calls() == 0);
}

} // namespace comm_parts
