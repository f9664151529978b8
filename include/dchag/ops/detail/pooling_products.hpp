// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// \file
/// The products of an attention pooling in which each position has factors of its own: (h, C) times (C, D) and the
/// like. For a product library of the host they are too small, and many; a device's takes all positions as one batch.
///
/// Letters: a, d_a (C, t, h); x, d_x (C, t, D), of any strides but with contiguous columns; m, d_m (t, h, D).

#include <dchag/ops/detail/lanes.hpp>
#include <dchag/ops/detail/pooling_kernels.hpp>
#include <dchag/ops/gemm.hpp>

namespace dchag::ops::detail {

/// Whether these products are made by hand: of bfloat16 they are not.
template <class ExecutionSpace, class... Views>
inline constexpr bool by_hand = runs_on_host<ExecutionSpace> &&
                                (!std::is_same_v<typename Views::non_const_value_type, bfloat16> && ...);

template <KokkosExecutionSpace ExecutionSpace, class F>
void for_each_position_on_host(ExecutionSpace const& exec, char const* label, std::size_t positions, F const& f) {
  Kokkos::parallel_for(label, Kokkos::RangePolicy<ExecutionSpace, Kokkos::IndexType<std::size_t>>(exec, 0, positions),
                       f);
}

/// m[n, h] (+)= sum over c of a[c, n, h] x[c, n]; `first`: m is overwritten.
template <KokkosExecutionSpace ExecutionSpace, TensorView<3> A, TensorView<3> X, TensorView<3> M>
void add_weighted_tokens(ExecutionSpace const& exec, A const& a, X const& x, bool first, M const& m) {
  using T = AccumulatorOf<typename M::value_type>;
  if constexpr (by_hand<ExecutionSpace, A, X, M>) {
    for_each_position_on_host(exec, "dchag::ops::add_weighted_tokens", m.extent(0), [=](std::size_t n) {
      product_of_columns<T>(m.extent(2), {m.extent(1), 0, x.extent(0)}, {&a(0, n, 0), 1, a.stride(0)},
                            {&x(0, n, 0), x.stride(0), 0}, {&m(n, 0, 0), m.stride(1), 0},
                            first ? Start::zero : Start::result);
    });
  } else {
    gemm(exec, Op::transpose, Op::none, T(1), exchanged(a), exchanged(x), T(first ? 0 : 1), m);
  }
}

/// d_x[c, n] = sum over h of a[c, n, h] d_m[n, h].
template <KokkosExecutionSpace ExecutionSpace, TensorView<3> A, TensorView<3> DM, TensorView<3> DX>
void spread_to_tokens(ExecutionSpace const& exec, A const& a, DM const& d_m, DX const& d_x) {
  using T = AccumulatorOf<typename DX::value_type>;
  if constexpr (by_hand<ExecutionSpace, A, DM, DX>) {
    for_each_position_on_host(exec, "dchag::ops::spread_to_tokens", d_m.extent(0), [=](std::size_t n) {
      product_of_columns<T>(d_m.extent(2), {d_x.extent(0), 0, d_m.extent(1)}, {&a(0, n, 0), a.stride(0), 1},
                            {&d_m(n, 0, 0), d_m.stride(1), 0}, {&d_x(0, n, 0), d_x.stride(0), 0}, Start::zero);
    });
  } else {
    gemm(exec, Op::none, Op::none, T(1), exchanged(a), d_m, T(0), exchanged(d_x));
  }
}

/// d_a[c, n, h] = x[c, n] . d_m[n, h].
template <KokkosExecutionSpace ExecutionSpace, TensorView<3> X, TensorView<3> DM, TensorView<3> DA>
void token_products(ExecutionSpace const& exec, X const& x, DM const& d_m, DA const& d_a) {
  using T = AccumulatorOf<typename DA::value_type>;
  if constexpr (by_hand<ExecutionSpace, X, DM, DA>) {
    constexpr std::size_t L = lanes<T>;
    constexpr std::size_t tokens = 8; // a block of sums, each a register that is summed up at the end
    constexpr std::size_t heads = 8;
    std::size_t const whole = x.extent(2) / L; // registers
    for_each_position_on_host(exec, "dchag::ops::token_products", d_m.extent(0), [=](std::size_t n) {
      alignas(64) T sums[tokens * heads * L];
      for_each_part(x.extent(0), tokens, [&](std::size_t c, std::size_t c_end) {
        for_each_part(d_m.extent(1), heads, [&](std::size_t h, std::size_t h_end) {
          lane_product<T>(c_end - c, h_end - h, whole, {&x(c, n, 0), x.stride(0), L}, {&d_m(n, h, 0), L, d_m.stride(1)},
                          {sums, heads * L, L}, Start::zero);
          for (std::size_t i = c; i < c_end; ++i) {
            for (std::size_t j = h; j < h_end; ++j) {
              T sum = lane_sum<T>(load<L>(sums + ((i - c) * heads + j - h) * L));
              for (std::size_t k = whole * L; k < x.extent(2); ++k) sum += x(i, n, k) * d_m(n, j, k);
              d_a(i, n, j) = sum;
            }
          }
        });
      });
    });
  } else {
    gemm(exec, Op::none, Op::transpose, T(1), exchanged(x), d_m, T(0), exchanged(d_a));
  }
}

/// W_v (V, D) as one matrix (d, D) a head.
template <class View>
auto head_rows(View const& value, std::size_t heads) {
  return reshape<3>(value, {heads, value.extent(0) / heads, value.extent(1)});
}

/// o[n, h] = W_v[h] m[n, h].
template <class ExecutionSpace, TensorView<3> M, TensorView<2> Value, TensorView<2> O>
void value_forward(ExecutionSpace const& exec, M const& m, Value const& value, O const& o) {
  using T = typename O::value_type;
  std::size_t const heads = m.extent(1);
  gemm(exec, Op::none, Op::transpose, T(1), exchanged(m), head_rows(value, heads), T(0), by_heads(o, heads));
}

/// d_m[n, h] = W_v[h]^T d_o[n, h].
template <class ExecutionSpace, TensorView<2> DO, TensorView<2> Value, TensorView<3> DM>
void value_backward(ExecutionSpace const& exec, DO const& d_o, Value const& value, DM const& d_m) {
  using T = AccumulatorOf<typename DM::value_type>;
  std::size_t const heads = d_m.extent(1);
  gemm(exec, Op::none, Op::none, T(1), by_heads(d_o, heads), head_rows(value, heads), T(0), exchanged(d_m));
}

/// d_W_v[h] += d_o[n, h] m[n, h]^T.
template <class ExecutionSpace, TensorView<2> DO, TensorView<3> M, TensorView<2> DValue>
void add_value_gradient(ExecutionSpace const& exec, DO const& d_o, M const& m, DValue const& d_value) {
  using T = typename DValue::value_type;
  std::size_t const heads = m.extent(1);
  gemm(exec, Op::transpose, Op::none, T(1), by_heads(d_o, heads), exchanged(m), T(1), head_rows(d_value, heads));
}

} // namespace dchag::ops::detail
