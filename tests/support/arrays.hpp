// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <reference/array.hpp>
#include <support/compare.hpp>

namespace dchag::test {

inline constexpr double nan_value = std::numeric_limits<double>::quiet_NaN();

/// A view's numbers for a reference.
template <class View>
reference::Array<View::rank> array_of(View const& view) {
  return {extents_of(view), flat(view)};
}

/// Writes numbers in row-major order to a contiguous view.
template <class View>
void assign(View const& view, std::vector<double> const& values) {
  HostTensor<typename View::non_const_value_type, View::rank> const host = to_host(view);
  require(host.size() == values.size(), "assign: view has ", host.size(), " values, got ", values.size());
  for (std::size_t i = 0; i < values.size(); ++i)
    host.data()[i] = static_cast<typename View::non_const_value_type>(values[i]);
  Kokkos::deep_copy(view, host);
}

/// A tensor of one value everywhere: NaN shows what is read that should not be, or not written that should be.
template <class T, KokkosExecutionSpace ExecutionSpace, std::size_t Rank>
Tensor<ExecutionSpace, T, Rank> filled_tensor(ExecutionSpace const& exec, std::size_t const (&extents)[Rank],
                                              double value) {
  auto const tensor = allocate<T>(exec, "dchag::test::filled", std::to_array(extents));
  exec.fence();
  Kokkos::deep_copy(tensor, static_cast<T>(value));
  return tensor;
}

/// A tensor of indices.
template <KokkosExecutionSpace ExecutionSpace>
Tensor<ExecutionSpace, std::size_t, 1> index_tensor(ExecutionSpace const& exec,
                                                    std::vector<std::size_t> const& values) {
  auto const tensor = allocate<std::size_t>(exec, "dchag::test::index", Extents<1>{values.size()});
  exec.fence();
  auto const host = to_host(tensor);
  for (std::size_t i = 0; i < values.size(); ++i) host(i) = values[i];
  Kokkos::deep_copy(tensor, host);
  return tensor;
}

inline double dot(std::vector<double> const& a, std::vector<double> const& b) {
  require(a.size() == b.size(), "dot: ", a.size(), " and ", b.size(), " values");
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

/// a + b.
inline std::vector<double> sum_of(std::vector<double> a, std::vector<double> const& b) {
  for (std::size_t i = 0; i < a.size(); ++i) a[i] += b[i];
  return a;
}

/// |a - b| as a share of the larger one; infinite unless both are finite, so that no comparison can lose it.
inline double relative_difference(double a, double b) {
  if (!math::is_finite(a) || !math::is_finite(b)) return std::numeric_limits<double>::infinity();
  return std::fabs(a - b) / std::max({std::fabs(a), std::fabs(b), 1e-300});
}

} // namespace dchag::test
