// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <reference/softmax.hpp>

/// \file
/// The pooling of tokens x (C, N, D) by absorbed queries r (h, D), from its definition:
///
///     z[n, h, c] = r[h] . x[c, n]    a = softmax over c of z    o[n, h] = sum over c of a[n, h, c] W_v[h] x[c, n]
///
/// W_v (V, D) has V / h rows for each head.
namespace dchag::reference {

struct Pooling {
  Array<3> a;               // (N, h, C)
  Array<2> o, maximum, sum; // (N, V), (N, h), (N, h)
};

inline Pooling pooling_forward(Array<2> const& r, Array<2> const& value, Array<3> const& x) {
  auto const [C, N, D] = x.extents;
  std::size_t const heads = r.extents[0];
  std::size_t const d = value.extents[0] / heads;
  Pooling result{Array<3>({N, heads, C}), Array<2>({N, heads * d}), Array<2>({N, heads}), Array<2>({N, heads})};
  for (std::size_t n = 0; n < N; ++n) {
    for (std::size_t h = 0; h < heads; ++h) {
      std::vector<double> z(C);
      for (std::size_t c = 0; c < C; ++c)
        for (std::size_t j = 0; j < D; ++j) z[c] += r(h, j) * x(c, n, j);
      double const maximum = *std::max_element(z.begin(), z.end());
      for (double const logit : z) result.sum(n, h) += std::exp(logit - maximum);
      result.maximum(n, h) = maximum;
      auto const a = softmax(z);
      std::vector<double> m(D);
      for (std::size_t c = 0; c < C; ++c) {
        result.a(n, h, c) = a[c];
        for (std::size_t j = 0; j < D; ++j) m[j] += a[c] * x(c, n, j);
      }
      for (std::size_t i = h * d; i < (h + 1) * d; ++i)
        for (std::size_t j = 0; j < D; ++j) result.o(n, i) += value(i, j) * m[j];
    }
  }
  return result;
}

struct PoolingGradients {
  Array<2> d_query, d_value; // (h, D), (V, D)
  Array<3> d_x;              // (C, N, D)
};

inline PoolingGradients pooling_backward(Array<2> const& r, Array<2> const& value, Array<3> const& x,
                                         Array<2> const& d_o) {
  auto const [C, N, D] = x.extents;
  std::size_t const heads = r.extents[0];
  std::size_t const d = value.extents[0] / heads;
  auto const forward = pooling_forward(r, value, x);
  PoolingGradients g{Array<2>(r.extents), Array<2>(value.extents), Array<3>(x.extents)};
  for (std::size_t n = 0; n < N; ++n) {
    for (std::size_t h = 0; h < heads; ++h) {
      std::vector<double> a(C);
      std::vector<double> d_a(C);
      std::vector<double> d_m(D);
      for (std::size_t i = h * d; i < (h + 1) * d; ++i)
        for (std::size_t j = 0; j < D; ++j) d_m[j] += value(i, j) * d_o(n, i);
      std::vector<double> m(D);
      for (std::size_t c = 0; c < C; ++c) {
        a[c] = forward.a(n, h, c);
        for (std::size_t j = 0; j < D; ++j) {
          d_a[c] += d_m[j] * x(c, n, j);
          m[j] += a[c] * x(c, n, j);
        }
      }
      for (std::size_t i = h * d; i < (h + 1) * d; ++i)
        for (std::size_t j = 0; j < D; ++j) g.d_value(i, j) += d_o(n, i) * m[j];
      auto const d_z = softmax_gradient(a, d_a);
      for (std::size_t c = 0; c < C; ++c) {
        for (std::size_t j = 0; j < D; ++j) {
          g.d_x(c, n, j) += a[c] * d_m[j] + d_z[c] * r(h, j);
          g.d_query(h, j) += d_z[c] * x(c, n, j);
        }
      }
    }
  }
  return g;
}

} // namespace dchag::reference
