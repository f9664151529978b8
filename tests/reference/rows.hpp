// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <reference/array.hpp>

namespace dchag::reference {

/// y[n] = x[n] + table[index[n]].
inline Array<2> add_embedding(Array<2> const& x, Array<2> const& table, std::vector<std::size_t> const& index) {
  Array<2> y(x.extents);
  for (std::size_t n = 0; n < x.extents[0]; ++n)
    for (std::size_t j = 0; j < x.extents[1]; ++j) y(n, j) = x(n, j) + table(index[n], j);
  return y;
}

/// Adds to d_table, searching for each of its rows the ones that took it.
inline void add_embedding_backward(Array<2> const& d_y, std::vector<std::size_t> const& index, Array<2>& d_table) {
  for (std::size_t l = 0; l < d_table.extents[0]; ++l)
    for (std::size_t n = 0; n < index.size(); ++n)
      for (std::size_t j = 0; j < d_y.extents[1]; ++j)
        if (index[n] == l) d_table(l, j) += d_y(n, j);
}

/// y[r] = x[source[r]], or `otherwise` where x has no such row.
inline Array<2> take_rows(Array<2> const& x, std::vector<std::size_t> const& source, Array<1> const& otherwise) {
  Array<2> y({source.size(), x.extents[1]});
  for (std::size_t r = 0; r < source.size(); ++r)
    for (std::size_t j = 0; j < x.extents[1]; ++j) y(r, j) = source[r] < x.extents[0] ? x(source[r], j) : otherwise(j);
  return y;
}

/// Overwrites the rows of d_x that were taken, adds to d_otherwise.
inline void take_rows_backward(Array<2> const& d_y, std::vector<std::size_t> const& source, Array<2>& d_x,
                               Array<1>& d_otherwise) {
  for (std::size_t r = 0; r < source.size(); ++r) {
    for (std::size_t j = 0; j < d_y.extents[1]; ++j) {
      if (source[r] < d_x.extents[0])
        d_x(source[r], j) = d_y(r, j);
      else
        d_otherwise(j) += d_y(r, j);
    }
  }
}

} // namespace dchag::reference
