// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/ops/rows.hpp>

#include <reference/rows.hpp>
#include <support/arrays.hpp>
#include <support/gradient_check.hpp>
#include <support/spaces.hpp>

namespace ops_rows {

using namespace dchag;
using namespace dchag::test;

namespace {

constexpr std::size_t widths[] = {1, 7, 63, 64, 65, 130};

/// Five rows of a table, taken unevenly, one of them never.
std::vector<std::size_t> some_indices(std::size_t count) {
  std::vector<std::size_t> index(count);
  for (std::size_t n = 0; n < count; ++n) index[n] = n * n % 5;
  return index;
}

/// The rows of x backwards, with a gap before each.
std::vector<std::size_t> some_sources(std::size_t rows) {
  std::vector<std::size_t> source;
  for (std::size_t r = rows; r > 0; --r) {
    source.push_back(r % 2 == 0 ? rows : rows + 100 * r);
    source.push_back(r - 1);
  }
  return source;
}

} // namespace

TEST_CASE_TEMPLATE("add is the sum, also in place", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  typename Case::ExecutionSpace const exec;
  auto const a = random_tensor<T>(exec, 1, "a", {5, 65});
  auto const b = random_tensor<T>(exec, 1, "b", {5, 65});
  auto const y = filled_tensor<T>(exec, {5, 65}, nan_value);
  auto const expected = sum_of(flat(a), flat(b));
  ops::add(exec, a, b, y);
  ops::add(exec, a, b, b);
  exec.fence();
  CHECK(relative_error(y, expected) < tolerance<T>(1e-6, 1e-15));
  CHECK(relative_error(b, expected) < tolerance<T>(1e-6, 1e-15));
}

TEST_CASE_TEMPLATE("add_embedding equals the definition, forward and backward, and its adjoint", Case,
                   DCHAG_TEST_CASES) {
  using T = typename Case::T;
  typename Case::ExecutionSpace const exec;
  double const bound = tolerance<T>(1e-5, 1e-12);
  for (std::size_t const D : widths) {
    CAPTURE(D);
    auto const index = some_indices(33);
    auto const indices = index_tensor(exec, index);
    auto const x = random_tensor<T>(exec, 1, "x", {33, D});
    auto const table = random_tensor<T>(exec, 1, "table", {5, D});
    auto const y = filled_tensor<T>(exec, {33, D}, nan_value);
    auto const expected = reference::add_embedding(array_of(x), array_of(table), index);
    ops::add_embedding(exec, x, table, indices, y);
    exec.fence();
    CHECK(relative_error(y, expected.values) < bound);

    auto const d_y = random_tensor<T>(exec, 1, "d_y", {33, D});
    auto const d_table = random_tensor<T>(exec, 1, "d_table", {5, D});
    auto d_expected = array_of(d_table);
    reference::add_embedding_backward(array_of(d_y), index, d_expected);
    ops::add_embedding_backward(exec, d_y, indices, d_table);
    exec.fence();
    CHECK(relative_error(d_table, d_expected.values) < bound);

    // <d_y, x + A table> = <d_y, x> + <A^T d_y, table>
    Kokkos::deep_copy(d_table, T(0));
    ops::add_embedding_backward(exec, d_y, indices, d_table);
    exec.fence();
    CHECK(relative_difference(dot(flat(d_y), flat(y)), dot(flat(d_y), flat(x)) + dot(flat(d_table), flat(table))) <
          tolerance<T>(1e-4, 1e-11));

    ops::add_embedding(exec, x, table, indices, x);
    exec.fence();
    CHECK(relative_error(x, expected.values) < bound);
  }
}

TEST_CASE_TEMPLATE("take_rows equals the definition, forward and backward, and its adjoint", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  typename Case::ExecutionSpace const exec;
  for (std::size_t const D : widths) {
    CAPTURE(D);
    auto const source = some_sources(17);
    auto const sources = index_tensor(exec, source);
    auto const x = random_tensor<T>(exec, 1, "x", {17, D});
    auto const otherwise = random_tensor<T>(exec, 1, "otherwise", {D});
    auto const y = filled_tensor<T>(exec, {source.size(), D}, nan_value);
    ops::take_rows(exec, x, sources, otherwise, y);
    exec.fence();
    CHECK(relative_error(y, reference::take_rows(array_of(x), source, array_of(otherwise)).values) == 0);

    auto const d_y = random_tensor<T>(exec, 1, "d_y", {source.size(), D});
    auto const d_x = filled_tensor<T>(exec, {17, D}, nan_value);
    auto const d_otherwise = random_tensor<T>(exec, 1, "d_otherwise", {D});
    auto d_x_expected = array_of(d_x);
    auto d_otherwise_expected = array_of(d_otherwise);
    reference::take_rows_backward(array_of(d_y), source, d_x_expected, d_otherwise_expected);
    ops::take_rows_backward(exec, d_y, sources, d_otherwise, d_x);
    exec.fence();
    CHECK(relative_error(d_x, d_x_expected.values) == 0);
    CHECK(relative_error(d_otherwise, d_otherwise_expected.values) < tolerance<T>(1e-5, 1e-12));

    Kokkos::deep_copy(d_otherwise, T(0));
    ops::take_rows_backward(exec, d_y, sources, d_otherwise, d_x);
    exec.fence();
    CHECK(relative_difference(dot(flat(d_y), flat(y)),
                              dot(flat(d_x), flat(x)) + dot(flat(d_otherwise), flat(otherwise))) <
          tolerance<T>(1e-4, 1e-11));
  }
}

TEST_CASE_TEMPLATE("rows: gradients equal finite differences", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  if (sizeof(T) != sizeof(double)) return;
  typename Case::ExecutionSpace const exec;
  auto const indices = index_tensor(exec, some_indices(7));
  auto const sources = index_tensor(exec, some_sources(7));
  auto const x = random_tensor<T>(exec, 1, "x", {7, 3});
  auto const table = random_tensor<T>(exec, 1, "table", {5, 3});
  auto const otherwise = random_tensor<T>(exec, 1, "otherwise", {3});
  auto const moved = filled_tensor<T>(exec, {7, 3}, nan_value);
  auto const y = filled_tensor<T>(exec, {14, 3}, nan_value);
  auto const d_y = random_tensor<T>(exec, 1, "d_y", {14, 3});
  auto const d_x = filled_tensor<T>(exec, {7, 3}, nan_value);
  auto const d_table = filled_tensor<T>(exec, {5, 3}, 0);
  auto const d_otherwise = filled_tensor<T>(exec, {3}, 0);
  ops::take_rows_backward(exec, d_y, sources, d_otherwise, d_x);
  ops::add_embedding_backward(exec, d_x, indices, d_table);
  exec.fence();
  auto const by = [&](auto const& input) {
    return [&, input](std::vector<double> const& values) {
      auto const before = flat(input);
      assign(input, values);
      ops::add_embedding(exec, x, table, indices, moved);
      ops::take_rows(exec, moved, sources, otherwise, y);
      exec.fence();
      assign(input, before);
      return dot(flat(d_y), flat(y));
    };
  };
  CHECK(gradient_error(by(x), flat(x), flat(d_x)) < 1e-6);
  CHECK(gradient_error(by(table), flat(table), flat(d_table)) < 1e-6);
  CHECK(gradient_error(by(otherwise), flat(otherwise), flat(d_otherwise)) < 1e-6);
}

TEST_CASE_TEMPLATE("rows: wrong shapes are errors", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  typename Case::ExecutionSpace const exec;
  auto const x = filled_tensor<T>(exec, {4, 3}, 1);
  auto const table = filled_tensor<T>(exec, {5, 3}, 1);
  auto const wide = filled_tensor<T>(exec, {4, 4}, 1);
  auto const wide_table = filled_tensor<T>(exec, {5, 4}, 1);
  auto const three = filled_tensor<T>(exec, {3}, 1);
  auto const four = filled_tensor<T>(exec, {4}, 1);
  auto const index = index_tensor(exec, {0, 1, 2, 3});
  auto const short_index = index_tensor(exec, {0, 1, 2});
  CHECK_THROWS_WITH_AS(ops::add(exec, x, wide, x), "add: b is (4, 4), expected (4, 3)", ShapeError);
  CHECK_THROWS_AS(ops::add(exec, wide, x, x), ShapeError);
  CHECK_THROWS_AS(ops::add_embedding(exec, wide, table, index, x), ShapeError);
  CHECK_THROWS_AS(ops::add_embedding(exec, x, table, short_index, x), ShapeError);
  CHECK_THROWS_WITH_AS(ops::add_embedding(exec, x, wide_table, index, x),
                       "add_embedding: table is (5, 4), expected (5, 3)", ShapeError);
  CHECK_THROWS_AS(ops::add_embedding_backward(exec, x, short_index, table), ShapeError);
  CHECK_THROWS_AS(ops::add_embedding_backward(exec, x, index, wide_table), ShapeError);
  CHECK_THROWS_WITH_AS(ops::take_rows(exec, wide, index, three, x), "take_rows: x is (4, 4), expected (4, 3)",
                       ShapeError);
  CHECK_THROWS_AS(ops::take_rows(exec, x, short_index, three, x), ShapeError);
  CHECK_THROWS_AS(ops::take_rows(exec, x, index, four, x), ShapeError);
  CHECK_THROWS_AS(ops::take_rows_backward(exec, x, short_index, three, x), ShapeError);
  CHECK_THROWS_AS(ops::take_rows_backward(exec, x, index, four, x), ShapeError);
  CHECK_THROWS_AS(ops::take_rows_backward(exec, x, index, three, wide), ShapeError);
}

} // namespace ops_rows
