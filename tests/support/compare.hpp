// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/check.hpp>
#include <dchag/core/number.hpp>
#include <dchag/core/random.hpp>
#include <dchag/core/tensor.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

namespace dchag::test {

/// A copy on the host, of the same extents, to index.
template <class View>
auto to_host(View const& view) {
  using Host = HostTensor<typename View::non_const_value_type, View::rank>;
  auto const host = detail::make_view<Host>(std::string("dchag::test::to_host"), extents_of(view),
                                            std::make_index_sequence<View::rank>());
  Kokkos::deep_copy(host, view);
  return host;
}

/// All values in row-major order, in double.
template <class View>
std::vector<double> flat(View const& view) {
  auto const host = to_host(view);
  std::vector<double> values(host.size());
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(host.data()[i]);
  return values;
}
template <class T>
std::vector<double> flat(std::vector<T> const& values) {
  return {values.begin(), values.end()};
}

/// How far two arrays are apart. Compares with a bound as its number does, and says where when a CHECK fails.
struct Difference {
  double error = 0; ///< max |found - expected| / max |expected|; infinite if a value is not finite
  std::size_t index = 0;
  double found = 0, expected = 0; ///< at the index where they are farthest apart

  friend bool operator==(Difference const& a, double bound) { return a.error == bound; }
  friend bool operator<(Difference const& a, double bound) { return a.error < bound; }
  friend bool operator<=(Difference const& a, double bound) { return a.error <= bound; }
  friend bool operator>(Difference const& a, double bound) { return a.error > bound; }
  friend std::ostream& operator<<(std::ostream& text, Difference const& a) {
    return text << a.error << " (found " << a.found << ", expected " << a.expected << " at " << a.index << ")";
  }
};

/// Of views in any memory or vectors, with equally many values: CHECK(relative_error(output, reference) < 1e-5).
/// Absolute where the reference is zero altogether.
template <class Found, class Expected>
Difference relative_error(Found const& found, Expected const& expected) {
  auto const a = flat(found);
  auto const b = flat(expected);
  require(a.size() == b.size(), "relative_error: found ", a.size(), " values, expected ", b.size());
  double scale = 0;
  for (double x : b) scale = std::max(scale, std::fabs(x));
  if (scale == 0) scale = 1;
  Difference worst;
  for (std::size_t i = 0; i < a.size(); ++i) {
    double error = std::fabs(a[i] - b[i]) / scale;
    if (!math::is_finite(error)) error = std::numeric_limits<double>::infinity();
    if (i == 0 || error > worst.error) worst = {error, i, a[i], b[i]};
  }
  return worst;
}

/// Standard normal numbers, the same for every execution space and type (up to rounding) and every number of ranks:
/// random_tensor<T>(exec, 1, "image", {B, C, H, W}).
template <class T, KokkosExecutionSpace ExecutionSpace, std::size_t Rank>
Tensor<ExecutionSpace, T, Rank> random_tensor(ExecutionSpace const& exec, std::uint64_t seed, std::string_view name,
                                              Extents<Rank> const& extents) {
  auto const tensor = allocate<T>(exec, "dchag::test::" + std::string(name), extents);
  exec.fence();
  auto const host = to_host(tensor);
  Random const random(seed, name);
  for (std::size_t i = 0; i < host.size(); ++i) host.data()[i] = static_cast<T>(random.normal(i));
  Kokkos::deep_copy(tensor, host);
  return tensor;
}
template <class T, KokkosExecutionSpace ExecutionSpace, std::size_t Rank>
Tensor<ExecutionSpace, T, Rank> random_tensor(ExecutionSpace const& exec, std::uint64_t seed, std::string_view name,
                                              std::size_t const (&extents)[Rank]) {
  return random_tensor<T>(exec, seed, name, std::to_array(extents));
}

} // namespace dchag::test
