// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/ops/gemm.hpp>

#include <reference/gemm.hpp>
#include <support/arrays.hpp>
#include <support/spaces.hpp>

namespace ops_gemm {

using namespace dchag;
using namespace dchag::test;
using ops::Op;

namespace {

struct LibraryProduct {
  template <class ExecutionSpace, class T, class A, class B, class C>
  void operator()(ExecutionSpace const& exec, Op op_a, Op op_b, T alpha, A const& a, B const& b, T beta,
                  C const& c) const {
    ops::gemm(exec, op_a, op_b, alpha, a, b, beta, c);
  }
};

/// The kernel for devices without a vendor's library, which every space can run.
struct PortableProduct {
  template <class ExecutionSpace, class T, class A, class B, class C>
  void operator()(ExecutionSpace const& exec, Op op_a, Op op_b, T alpha, A const& a, B const& b, T beta,
                  C const& c) const {
    auto const in = [](auto const& view) {
      auto const x = ops::detail::matrices(view);
      return ops::detail::Matrices<T const>{x.data, x.row_stride, x.matrix_stride};
    };
    ops::detail::gemm_kernel(exec, ops::detail::Product<T>{op_a, op_b, c.extent(0), c.extent(1), c.extent(2),
                                                           a.extent(op_a == Op::none ? A::rank - 1 : A::rank - 2),
                                                           alpha, beta, in(a), in(b), ops::detail::matrices(c)});
  }
};

struct Sizes {
  std::size_t batch, m, n, k;
};

template <class View>
auto inner(View const& view) {
  auto const but_border = [&](std::size_t axis) {
    return std::pair<std::size_t, std::size_t>(1, view.extent(axis) - 2);
  };
  return Kokkos::subview(view, Kokkos::ALL, but_border(1), but_border(2));
}

/// Factors and result are the inside of larger tensors, whose border must stay as it is.
template <class Case, class Multiply>
void check_product(Multiply const& multiply, Op op_a, Op op_b, Sizes const& s, double alpha, double beta) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  CAPTURE(s.batch);
  CAPTURE(s.m);
  CAPTURE(s.n);
  CAPTURE(s.k);
  CAPTURE((op_a == Op::transpose));
  CAPTURE((op_b == Op::transpose));
  CAPTURE(beta);
  Space const exec;
  auto const factor = [&](char const* name, std::size_t batch, Op op, std::size_t rows, std::size_t columns) {
    if (op == Op::transpose) std::swap(rows, columns);
    return random_tensor<T>(exec, 1, name, {batch, rows + 3, columns + 3});
  };
  auto const without_border = [](reference::Array<3> const& x) {
    reference::Array<3> inside({x.extents[0], x.extents[1] - 3, x.extents[2] - 3});
    for (std::size_t i = 0; i < inside.extents[0]; ++i)
      for (std::size_t row = 0; row < inside.extents[1]; ++row)
        for (std::size_t column = 0; column < inside.extents[2]; ++column)
          inside(i, row, column) = x(i, row + 1, column + 1);
    return inside;
  };

  for (bool const share_a : {false, true}) {
    for (bool const share_b : {false, true}) {
      CAPTURE(share_a);
      CAPTURE(share_b);
      auto const a = factor("a", share_a ? 1 : s.batch, op_a, s.m, s.k);
      auto const b = factor("b", share_b ? 1 : s.batch, op_b, s.k, s.n);
      auto const c = factor("c", s.batch, Op::none, s.m, s.n);
      if (beta == 0) Kokkos::deep_copy(inner(c), static_cast<T>(nan_value));
      auto expected = array_of(c);
      auto product = without_border(expected);
      reference::gemm(op_a == Op::transpose, op_b == Op::transpose, alpha, without_border(array_of(a)),
                      without_border(array_of(b)), beta, product);
      for (std::size_t i = 0; i < s.batch; ++i)
        for (std::size_t row = 0; row < s.m; ++row)
          for (std::size_t column = 0; column < s.n; ++column)
            expected(i, row + 1, column + 1) = product(i, row, column);

      auto const call = [&](auto const& first, auto const& second) {
        multiply(exec, op_a, op_b, static_cast<T>(alpha), first, second, static_cast<T>(beta), inner(c));
      };
      auto const one = [](auto const& view) { return Kokkos::subview(inner(view), 0, Kokkos::ALL, Kokkos::ALL); };
      if (share_a && share_b)
        call(one(a), one(b));
      else if (share_a)
        call(one(a), inner(b));
      else if (share_b)
        call(inner(a), one(b));
      else
        call(inner(a), inner(b));
      exec.fence();
      CHECK(relative_error(c, expected.values) < tolerance<T>(1e-5, 1e-12));
    }
  }
}

template <class Case, class Multiply>
void check_products(Multiply const& multiply) {
  for (Op const op_a : {Op::none, Op::transpose}) {
    for (Op const op_b : {Op::none, Op::transpose}) {
      for (Sizes const& sizes : {Sizes{1, 1, 1, 1}, Sizes{3, 3, 5, 7}, Sizes{2, 64, 64, 64}, Sizes{1, 65, 1, 33},
                                 Sizes{2, 1, 130, 17}, Sizes{1, 200, 3, 31}, Sizes{3, 31, 257, 2}, Sizes{2, 5, 4, 0}}) {
        check_product<Case>(multiply, op_a, op_b, sizes, 1, 0);
        check_product<Case>(multiply, op_a, op_b, sizes, 0.5, 1);
        check_product<Case>(multiply, op_a, op_b, sizes, -2, 0.25);
      }
    }
  }
}

} // namespace

TEST_CASE_TEMPLATE("gemm equals the definition", Case, DCHAG_TEST_CASES) {
  check_products<Case>(LibraryProduct());
}

TEST_CASE_TEMPLATE("gemm by the portable kernel equals the definition", Case, DCHAG_TEST_CASES) {
  check_products<Case>(PortableProduct());
}

TEST_CASE_TEMPLATE("gemm of matrices, constant factors, a single column", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  typename Case::ExecutionSpace const exec;
  auto const a = random_tensor<T>(exec, 1, "a", {70, 9});
  auto const b = random_tensor<T>(exec, 1, "b", {9, 1});
  auto const c = filled_tensor<T>(exec, {70, 1}, nan_value);
  using Constant = typename std::remove_const_t<decltype(a)>::const_type;
  ops::gemm(exec, Op::none, Op::none, T(1), Constant(a), Constant(b), T(0), c);
  exec.fence();
  reference::Array<3> expected({1, 70, 1});
  reference::gemm(false, false, 1, {{1, 70, 9}, flat(a)}, {{1, 9, 1}, flat(b)}, 0, expected);
  CHECK(relative_error(c, expected.values) < tolerance<T>(1e-5, 1e-12));
}

TEST_CASE_TEMPLATE("gemm of bfloat16, summed in float", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  if (std::is_same_v<typename Case::T, double>) return;
  Space const exec;
  std::size_t const batch = 3, m = 17, n = 40, k = 300;
  auto const halves = [&](char const* name, std::size_t rows, std::size_t columns) {
    return random_tensor<bfloat16>(exec, 1, name, {batch, rows, columns});
  };
  for (Op const op_a : {Op::none, Op::transpose}) {
    for (Op const op_b : {Op::none, Op::transpose}) {
      auto const a = op_a == Op::none ? halves("a", m, k) : halves("a", k, m);
      auto const b = op_b == Op::none ? halves("b", k, n) : halves("b", n, k);
      auto const c = random_tensor<float>(exec, 1, "c", {batch, m, n});
      auto expected = array_of(c);
      reference::gemm(op_a == Op::transpose, op_b == Op::transpose, 0.5, array_of(a), array_of(b), 2, expected);
      ops::gemm(exec, op_a, op_b, 0.5f, a, b, 2.f, c);
      exec.fence();
      CHECK(relative_error(c, expected.values) < 1e-6);
      auto const rounded = filled_tensor<bfloat16>(exec, {batch, m, n}, nan_value);
      reference::gemm(op_a == Op::transpose, op_b == Op::transpose, 1, array_of(a), array_of(b), 0, expected);
      ops::gemm(exec, op_a, op_b, 1.f, a, b, 0.f, rounded);
      exec.fence();
      CHECK(relative_error(rounded, expected.values) < 1. / 256);
    }
  }
}

TEST_CASE_TEMPLATE("gemm of nothing: no inner extent scales C, no rows or columns are no work", Case,
                   DCHAG_TEST_CASES) {
  using T = typename Case::T;
  typename Case::ExecutionSpace const exec;
  auto const c = filled_tensor<T>(exec, {3, 2}, 4);
  ops::gemm(exec, Op::none, Op::none, T(1), filled_tensor<T>(exec, {3, 0}, 0), filled_tensor<T>(exec, {0, 2}, 0),
            T(0.5), c);
  exec.fence();
  CHECK(flat(c) == std::vector<double>(6, 2));
  ops::gemm(exec, Op::none, Op::none, T(1), filled_tensor<T>(exec, {0, 5}, 0), filled_tensor<T>(exec, {5, 2}, 1), T(0),
            filled_tensor<T>(exec, {0, 2}, 0));
  ops::gemm(exec, Op::none, Op::none, T(1), filled_tensor<T>(exec, {0, 3, 5}, 0), filled_tensor<T>(exec, {5, 2}, 1),
            T(0), filled_tensor<T>(exec, {0, 3, 2}, 0));
}

TEST_CASE_TEMPLATE("gemm says which shapes do not fit", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  typename Case::ExecutionSpace const exec;
  auto const a = filled_tensor<T>(exec, {2, 3}, 1);
  auto const b = filled_tensor<T>(exec, {4, 5}, 1);
  auto const c = filled_tensor<T>(exec, {2, 5}, 1);
  CHECK_THROWS_WITH_AS(ops::gemm(exec, Op::none, Op::none, T(1), a, b, T(0), c),
                       "gemm: A (2, 3) times B (4, 5) does not give C (2, 5)", ShapeError);
  CHECK_THROWS_WITH_AS(ops::gemm(exec, Op::transpose, Op::none, T(1), a, b, T(0), c),
                       "gemm: A^T (2, 3) times B (4, 5) does not give C (2, 5)", ShapeError);
  CHECK_THROWS_AS(ops::gemm(exec, Op::none, Op::none, T(1), a, a, T(0), c), ShapeError);
  auto const batch = filled_tensor<T>(exec, {3, 2, 3}, 1);
  auto const right = filled_tensor<T>(exec, {3, 5}, 1);
  CHECK_THROWS_AS(ops::gemm(exec, Op::none, Op::none, T(1), batch, right, T(0), filled_tensor<T>(exec, {2, 2, 5}, 1)),
                  ShapeError);
  auto const every_other = Kokkos::subview(filled_tensor<T>(exec, {2, 3, 2}, 1), Kokkos::ALL, Kokkos::ALL, 0);
  CHECK_THROWS_WITH_AS(ops::gemm(exec, Op::none, Op::none, T(1), every_other, right, T(0), c),
                       "gemm: A has stride 2 along its columns, expected 1", ShapeError);
}

} // namespace ops_gemm
