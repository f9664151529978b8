// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/core/parallel.hpp>

#include <support/compare.hpp>
#include <support/spaces.hpp>

namespace dchag::test {

// Row n has its first n numbers reduced, so one launch tests every length.
template <class Space, class T>
struct ReduceRows {
  Tensor<Space, T, 2> input; // (N, N)
  Tensor<Space, T, 1> sum, largest;

  KOKKOS_FUNCTION void operator()(Team<Space> const& team, std::size_t n) const {
    auto const value = [&](std::size_t i) { return input(n, i); };
    T const total = team.template sum<T>(n, value);
    T const top = n == 0 ? T(0) : team.template max<T>(n, value);
    team.once([&] {
      sum(n) = total;
      largest(n) = top;
    });
  }
};

template <class Space, class T>
struct WriteThenTurn {
  Tensor<Space, T, 2> scratch, output; // (N, M)

  KOKKOS_FUNCTION void operator()(Team<Space> const& team, std::size_t row) const {
    std::size_t const m = output.extent(1);
    team.for_each(m, [&](std::size_t i) { scratch(row, i) = static_cast<T>(row * m + i); });
    team.barrier();
    team.for_each(m, [&](std::size_t i) { output(row, i) = scratch(row, m - 1 - i); });
  }
};

template <class Space, class T>
struct TurnInScratch {
  Tensor<Space, T, 2> output; // (N, 32)

  KOKKOS_FUNCTION void operator()(Team<Space> const& team, std::size_t row, T* scratch) const {
    team.for_each(32, [&](std::size_t i) { scratch[i] = static_cast<T>(row * 32 + i); });
    team.barrier();
    team.for_each(32, [&](std::size_t i) { output(row, i) = scratch[31 - i]; });
  }
};

template <class Space, class T>
struct Visit {
  Tensor<Space, T, 2> output; // (N, M)
  KOKKOS_FUNCTION void operator()(std::size_t row, std::size_t column) const {
    output(row, column) += static_cast<T>(10 * row + column);
  }
};

TEST_CASE_TEMPLATE("Team: sum and max equal a plain loop at every length", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Space const exec;
  constexpr std::size_t lengths = 101;
  auto const input = random_tensor<T>(exec, 1, "input", {lengths, lengths});
  auto const sum = allocate<T>(exec, "sum", Extents<1>{lengths});
  auto const largest = allocate<T>(exec, "largest", Extents<1>{lengths});
  for_each_team(exec, "dchag::test::reduce", lengths, ReduceRows<Space, T>{input, sum, largest});
  exec.fence();

  auto const x = to_host(input);
  std::vector<double> expected_sum(lengths);
  std::vector<double> expected_largest(lengths);
  for (std::size_t n = 1; n < lengths; ++n) {
    expected_largest[n] = x(n, 0);
    for (std::size_t i = 0; i < n; ++i) {
      expected_sum[n] += static_cast<double>(x(n, i));
      expected_largest[n] = std::max(expected_largest[n], static_cast<double>(x(n, i)));
    }
  }
  CHECK(relative_error(sum, expected_sum) < tolerance<T>(1e-6, 1e-14));
  CHECK(relative_error(largest, expected_largest) == 0);
}

TEST_CASE_TEMPLATE("Team: max of negative numbers is negative", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Space const exec;
  auto const input = allocate<T>(exec, "input", Extents<2>{40, 40});
  auto const sum = allocate<T>(exec, "sum", Extents<1>{40});
  auto const largest = allocate<T>(exec, "largest", Extents<1>{40});
  Kokkos::deep_copy(exec, input, T(-3));
  for_each_team(exec, "dchag::test::reduce", 40, ReduceRows<Space, T>{input, sum, largest});
  exec.fence();
  std::vector<double> expected(40, -3);
  expected[0] = 0;
  CHECK(relative_error(largest, expected) == 0);
}

TEST_CASE_TEMPLATE("Team: what is written before a barrier is read behind it", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Space const exec;
  auto const scratch = allocate<T>(exec, "scratch", Extents<2>{5, 300});
  auto const output = allocate<T>(exec, "output", Extents<2>{5, 300});
  for_each_team(exec, "dchag::test::turn", 5, WriteThenTurn<Space, T>{scratch, output});
  exec.fence();
  std::vector<double> expected;
  for (std::size_t row = 0; row < 5; ++row)
    for (std::size_t i = 0; i < 300; ++i) expected.push_back(static_cast<double>(row * 300 + 299 - i));
  CHECK(relative_error(output, expected) == 0);
}

TEST_CASE_TEMPLATE("for_each_team_with_scratch: gives each team an array of its own", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Space const exec;
  auto const output = allocate<T>(exec, "output", Extents<2>{100, 32});
  for_each_team_with_scratch<T, 32>(exec, "dchag::test::turn", 100, TurnInScratch<Space, T>{output});
  exec.fence();
  std::vector<double> expected;
  for (std::size_t row = 0; row < 100; ++row)
    for (std::size_t i = 0; i < 32; ++i) expected.push_back(static_cast<double>(row * 32 + 31 - i));
  CHECK(relative_error(output, expected) == 0);
}

TEST_CASE_TEMPLATE("for_each_element: visits each element once", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Space const exec;
  auto const output = allocate<T>(exec, "output", Extents<2>{7, 9});
  Kokkos::deep_copy(exec, output, T(0));
  for_each_element(exec, "dchag::test::visit", 7, 9, Visit<Space, T>{output});
  for_each_element(exec, "dchag::test::visit", 0, 9, Visit<Space, T>{output});
  for_each_element(exec, "dchag::test::visit", 7, 0, Visit<Space, T>{output});
  exec.fence();
  std::vector<double> expected;
  for (std::size_t row = 0; row < 7; ++row)
    for (std::size_t column = 0; column < 9; ++column) expected.push_back(static_cast<double>(10 * row + column));
  CHECK(relative_error(output, expected) == 0);
}

} // namespace dchag::test
