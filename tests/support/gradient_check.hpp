// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/number.hpp>
#include <dchag/core/random.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace dchag::test {

/// How far the gradient of f at x is from f's central differences: the worst of a few directions e of random signs, of
/// |<gradient, e> - df/de| relative to the gradient's length, which is what <gradient, e> is on average. f takes a
/// std::vector<double>.
///
/// The difference is of fourth order, so that a step of 1e-3 leaves an error of 1e-12 from the step and of 1e-13 from
/// rounding: 1e-6 then means a wrong gradient, not a badly chosen step.
template <class F>
double gradient_error(F const& f, std::vector<double> const& x, std::vector<double> const& gradient,
                      double step = 1e-3) {
  double squares = 0;
  for (double g : gradient) squares += g * g;
  double const length = std::max(std::sqrt(squares), 1e-12);
  Random const random(1, "gradient_error");
  double worst = 0;
  for (std::uint32_t trial = 0; trial < 4; ++trial) {
    std::vector<double> direction(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) direction[i] = random.uniform(i, trial) < 0.5 ? -1 : 1;
    auto const moved = [&](double distance) {
      auto point = x;
      for (std::size_t i = 0; i < x.size(); ++i) point[i] += distance * direction[i];
      return f(point);
    };
    double const difference = (8 * (moved(step) - moved(-step)) - (moved(2 * step) - moved(-2 * step))) / (12 * step);
    double along = 0;
    for (std::size_t i = 0; i < x.size(); ++i) along += gradient[i] * direction[i];
    double const error = std::fabs(along - difference) / length;
    if (math::is_nan(error)) return error;
    worst = std::max(worst, error);
  }
  return worst;
}

} // namespace dchag::test
