// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/check.hpp>
#include <dchag/core/compiled.hpp>
#include <dchag/core/parallel.hpp>

namespace dchag::ops {

/// y = a + b.
///
/// Shapes: a, b, y (N, D). y may be a or b.
template <KokkosExecutionSpace ExecutionSpace, TensorView<2> A, TensorView<2> B, TensorView<2> Y>
void add(ExecutionSpace const& exec, A const& a, B const& b, Y const& y) {
  require_shape("add", "a", a, extents_of(y));
  require_shape("add", "b", b, extents_of(y));
  for_each_element(
      exec, "dchag::ops::add", y.extent(0), y.extent(1),
      KOKKOS_LAMBDA(std::size_t n, std::size_t j) { y(n, j) = a(n, j) + b(n, j); });
}

/// products[n, h] = sum over the features of head h of a[n] b[n].
///
/// Shapes: a, b (N, D), products (N, h), D a multiple of h.
template <KokkosExecutionSpace ExecutionSpace, TensorView<2> A, TensorView<2> B, TensorView<2> Products>
void products_of_heads(ExecutionSpace const& exec, A const& a, B const& b, Products const& products) {
  using T = typename Products::value_type;
  using Worker = Team<ExecutionSpace>;
  std::size_t const heads = products.extent(1);
  require(heads > 0 && a.extent(1) % heads == 0, "products_of_heads: width D = ", a.extent(1),
          " is not a multiple of heads = ", heads);
  require_shape("products_of_heads", "a", a, {products.extent(0), a.extent(1)});
  require_shape("products_of_heads", "b", b, extents_of(a));
  std::size_t const d = a.extent(1) / heads;
  for_each_team(
      exec, "dchag::ops::products_of_heads", a.extent(0), KOKKOS_LAMBDA(Worker const& team, std::size_t n) {
        for (std::size_t h = 0; h < heads; ++h) {
          T const sum = team.template sum<T>(d, [&](std::size_t j) { return a(n, h * d + j) * b(n, h * d + j); });
          team.once([&] { products(n, h) = sum; });
        }
      });
}

/// y[n] = x[n] + table[index(n)]: adds each row's embedding.
///
/// Shapes: x, y (N, D); table (L, D); index (N), values below L. y may be x.
template <KokkosExecutionSpace ExecutionSpace, TensorView<2> X, TensorView<2> Table, TensorView<1> Index,
          TensorView<2> Y>
void add_embedding(ExecutionSpace const& exec, X const& x, Table const& table, Index const& index, Y const& y) {
  require_shape("add_embedding", "x", x, extents_of(y));
  require_shape("add_embedding", "table", table, {table.extent(0), y.extent(1)});
  require_shape("add_embedding", "index", index, {y.extent(0)});
  for_each_element(
      exec, "dchag::ops::add_embedding", y.extent(0), y.extent(1),
      KOKKOS_LAMBDA(std::size_t n, std::size_t j) { y(n, j) = x(n, j) + table(index(n), j); });
}

/// d_table[l] += sum over the n with index(n) = l of d_y[n].
///
/// Shapes: as forward. Each thread owns columns and runs over all rows, so the sum has one order on every run.
template <KokkosExecutionSpace ExecutionSpace, TensorView<2> DY, TensorView<1> Index, TensorView<2> DTable>
void add_embedding_backward(ExecutionSpace const& exec, DY const& d_y, Index const& index, DTable const& d_table) {
  require_shape("add_embedding_backward", "index", index, {d_y.extent(0)});
  require_shape("add_embedding_backward", "d_table", d_table, {d_table.extent(0), d_y.extent(1)});
  std::size_t const N = d_y.extent(0);
  std::size_t const D = d_y.extent(1);
  constexpr std::size_t strip = runs_on_host<ExecutionSpace> ? 64 : 1;
  Kokkos::parallel_for(
      "dchag::ops::add_embedding_backward",
      Kokkos::RangePolicy<ExecutionSpace, Kokkos::IndexType<std::size_t>>(exec, 0, (D + strip - 1) / strip),
      KOKKOS_LAMBDA(std::size_t task) {
        std::size_t const end = (math::min)((task + 1) * strip, D);
        for (std::size_t n = 0; n < N; ++n)
          for (std::size_t j = task * strip; j < end; ++j) d_table(index(n), j) += d_y(n, j);
      });
}

/// y[r] = x[source(r)], or `otherwise` where source(r) is not below the rows of x.
///
/// Shapes: x (N, D), source (R), otherwise (D), y (R, D).
template <KokkosExecutionSpace ExecutionSpace, TensorView<2> X, TensorView<1> Source, TensorView<1> Otherwise,
          TensorView<2> Y>
void take_rows(ExecutionSpace const& exec, X const& x, Source const& source, Otherwise const& otherwise, Y const& y) {
  require_shape("take_rows", "x", x, {x.extent(0), y.extent(1)});
  require_shape("take_rows", "source", source, {y.extent(0)});
  require_shape("take_rows", "otherwise", otherwise, {y.extent(1)});
  std::size_t const N = x.extent(0);
  for_each_element(
      exec, "dchag::ops::take_rows", y.extent(0), y.extent(1),
      KOKKOS_LAMBDA(std::size_t r, std::size_t j) { y(r, j) = source(r) < N ? x(source(r), j) : otherwise(j); });
}

/// The adjoint of `take_rows` for sources that name each row of x once: d_x[source(r)] = d_y[r], and
/// d_otherwise += sum of the d_y[r] that took it.
///
/// Shapes: as forward.
template <KokkosExecutionSpace ExecutionSpace, TensorView<2> DY, TensorView<1> Source, TensorView<1> DOtherwise,
          TensorView<2> DX>
void take_rows_backward(ExecutionSpace const& exec, DY const& d_y, Source const& source, DOtherwise const& d_otherwise,
                        DX const& d_x) {
  require_shape("take_rows_backward", "source", source, {d_y.extent(0)});
  require_shape("take_rows_backward", "d_otherwise", d_otherwise, {d_y.extent(1)});
  require_shape("take_rows_backward", "d_x", d_x, {d_x.extent(0), d_y.extent(1)});
  std::size_t const N = d_x.extent(0);
  std::size_t const R = d_y.extent(0);
  std::size_t const D = d_y.extent(1);
  constexpr std::size_t strip = runs_on_host<ExecutionSpace> ? 64 : 1;
  Kokkos::parallel_for(
      "dchag::ops::take_rows_backward",
      Kokkos::RangePolicy<ExecutionSpace, Kokkos::IndexType<std::size_t>>(exec, 0, (D + strip - 1) / strip),
      KOKKOS_LAMBDA(std::size_t task) {
        std::size_t const end = (math::min)((task + 1) * strip, D);
        for (std::size_t r = 0; r < R; ++r) {
          for (std::size_t j = task * strip; j < end; ++j) {
            if (source(r) < N)
              d_x(source(r), j) = d_y(r, j);
            else
              d_otherwise(j) += d_y(r, j);
          }
        }
      });
}

#define DCHAG_KERNELS_OF(ExecutionSpace, T)                                                                            \
  DCHAG_KERNEL void add(ExecutionSpace const&, Tensor<ExecutionSpace, T, 2> const&,                                    \
                        Tensor<ExecutionSpace, T, 2> const&, Tensor<ExecutionSpace, T, 2> const&);                     \
  DCHAG_KERNEL void products_of_heads(ExecutionSpace const&, Tensor<ExecutionSpace, T, 2> const&,                      \
                                      Tensor<ExecutionSpace, T, 2> const&, Tensor<ExecutionSpace, T, 2> const&);
DCHAG_COMPILED(DCHAG_KERNELS_OF)
#undef DCHAG_KERNELS_OF

} // namespace dchag::ops
