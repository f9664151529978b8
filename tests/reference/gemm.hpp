// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <reference/array.hpp>

namespace dchag::reference {

/// c[i] = alpha op(a[i]) op(b[i]) + beta c[i]; a factor of one matrix serves the whole batch. With beta = 0, c is not
/// read.
inline void gemm(bool transpose_a, bool transpose_b, double alpha, Array<3> const& a, Array<3> const& b, double beta,
                 Array<3>& c) {
  std::size_t const inner = a.extents[transpose_a ? 1 : 2];
  for (std::size_t i = 0; i < c.extents[0]; ++i) {
    std::size_t const i_a = a.extents[0] == 1 ? 0 : i;
    std::size_t const i_b = b.extents[0] == 1 ? 0 : i;
    for (std::size_t row = 0; row < c.extents[1]; ++row) {
      for (std::size_t column = 0; column < c.extents[2]; ++column) {
        double sum = 0;
        for (std::size_t k = 0; k < inner; ++k)
          sum +=
              (transpose_a ? a(i_a, k, row) : a(i_a, row, k)) * (transpose_b ? b(i_b, column, k) : b(i_b, k, column));
        c(i, row, column) = alpha * sum + (beta == 0 ? 0 : beta * c(i, row, column));
      }
    }
  }
}

} // namespace dchag::reference
