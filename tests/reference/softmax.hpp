// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <cmath>
#include <reference/array.hpp>

namespace dchag::reference {

/// exp(x) / sum of exp(x).
inline std::vector<double> softmax(std::vector<double> x) {
  double const largest = *std::max_element(x.begin(), x.end());
  double sum = 0;
  for (double& value : x) sum += value = std::exp(value - largest);
  for (double& value : x) value /= sum;
  return x;
}

/// d_x[i] = sum over j of d_y[j] dy[j]/dx[i], with the whole Jacobian.
inline std::vector<double> softmax_gradient(std::vector<double> const& y, std::vector<double> const& d_y) {
  std::vector<double> d_x(y.size());
  for (std::size_t i = 0; i < y.size(); ++i)
    for (std::size_t j = 0; j < y.size(); ++j) d_x[i] += d_y[j] * y[j] * ((i == j ? 1 : 0) - y[i]);
  return d_x;
}

inline std::vector<double> row(Array<2> const& x, std::size_t n) {
  std::vector<double> values(x.extents[1]);
  for (std::size_t j = 0; j < values.size(); ++j) values[j] = x(n, j);
  return values;
}

/// Over the last axis.
inline Array<2> softmax_forward(Array<2> const& x) {
  Array<2> y(x.extents);
  for (std::size_t n = 0; n < x.extents[0]; ++n) {
    auto const values = softmax(row(x, n));
    for (std::size_t j = 0; j < values.size(); ++j) y(n, j) = values[j];
  }
  return y;
}

inline Array<2> softmax_backward(Array<2> const& x, Array<2> const& d_y) {
  Array<2> d_x(x.extents);
  for (std::size_t n = 0; n < x.extents[0]; ++n) {
    auto const values = softmax_gradient(softmax(row(x, n)), row(d_y, n));
    for (std::size_t j = 0; j < values.size(); ++j) d_x(n, j) = values[j];
  }
  return d_x;
}

} // namespace dchag::reference
