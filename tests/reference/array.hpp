// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>
#include <utility>
#include <vector>

namespace dchag::reference {

/// Numbers in row-major order under extents: all that the references know of tensors.
template <std::size_t Rank>
struct Array {
  using Extents = std::array<std::size_t, Rank>;

  Extents extents;
  std::vector<double> values;

  explicit Array(Extents const& sizes, double value = 0) : extents(sizes), values(count(sizes), value) {}
  Array(Extents const& sizes, std::vector<double> numbers) : extents(sizes), values(std::move(numbers)) {}

  template <class... Index>
  double& operator()(Index... index) {
    return values.at(offset(index...));
  }
  template <class... Index>
  double operator()(Index... index) const {
    return values.at(offset(index...));
  }

private:
  static std::size_t count(Extents const& sizes) {
    std::size_t product = 1;
    for (auto n : sizes) product *= n;
    return product;
  }

  template <class... Index>
  std::size_t offset(Index... index) const {
    static_assert(sizeof...(Index) == Rank, "Array: as many indices as axes");
    std::size_t at = 0;
    std::size_t axis = 0;
    ((at = at * extents[axis++] + index), ...);
    return at;
  }
};

/// Columns [begin, begin + count) of the last axis: (A, N, D) -> (A, N, count).
inline Array<3> columns(Array<3> const& x, std::size_t begin, std::size_t count) {
  Array<3> part({x.extents[0], x.extents[1], count});
  for (std::size_t i = 0; i < x.extents[0]; ++i)
    for (std::size_t n = 0; n < x.extents[1]; ++n)
      for (std::size_t j = 0; j < count; ++j) part(i, n, j) = x(i, n, begin + j);
  return part;
}

} // namespace dchag::reference
