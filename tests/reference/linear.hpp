// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <reference/array.hpp>

namespace dchag::reference {

/// y = x W^T + bias.
inline Array<2> linear_forward(Array<2> const& x, Array<2> const& weight, Array<1> const& bias) {
  Array<2> y({x.extents[0], weight.extents[0]});
  for (std::size_t n = 0; n < y.extents[0]; ++n) {
    for (std::size_t m = 0; m < y.extents[1]; ++m) {
      y(n, m) = bias(m);
      for (std::size_t k = 0; k < x.extents[1]; ++k) y(n, m) += x(n, k) * weight(m, k);
    }
  }
  return y;
}

struct LinearGradients {
  Array<2> d_x, d_weight;
  Array<1> d_bias;
};

inline LinearGradients linear_backward(Array<2> const& x, Array<2> const& weight, Array<2> const& d_y) {
  LinearGradients d{Array<2>(x.extents), Array<2>(weight.extents), Array<1>({weight.extents[0]})};
  for (std::size_t n = 0; n < d_y.extents[0]; ++n) {
    for (std::size_t m = 0; m < d_y.extents[1]; ++m) {
      d.d_bias(m) += d_y(n, m);
      for (std::size_t k = 0; k < x.extents[1]; ++k) {
        d.d_x(n, k) += d_y(n, m) * weight(m, k);
        d.d_weight(m, k) += d_y(n, m) * x(n, k);
      }
    }
  }
  return d;
}

} // namespace dchag::reference
