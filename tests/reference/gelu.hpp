// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cmath>
#include <numbers>
#include <reference/array.hpp>

namespace dchag::reference {

/// x Phi(x); Phi by erfc, which keeps its digits far to the left.
inline double gelu(double x) {
  return x * 0.5 * std::erfc(-x / std::numbers::sqrt2);
}

inline double gelu_derivative(double x) {
  double const density = std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi);
  return 0.5 * std::erfc(-x / std::numbers::sqrt2) + x * density;
}

} // namespace dchag::reference
