// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/error.hpp>
#include <dchag/core/number.hpp>

#include <cmath>
#include <cstddef>

namespace dchag {

/// The learning rate of each step: a straight line up to the peak, then half a cosine down to the minimum.
///
/// Units: steps are optimizer steps, counted from 0. Step 0 already learns (peak / (warmup_steps + 1)), step
/// `warmup_steps` has the peak, `total_steps` and all later ones have the minimum. So without warm-up step 0 has the
/// peak, and a warm-up as long as the whole run ends just below it.
///
/// Source: Loshchilov and Hutter, SGDR, ICLR 2017, equation 5, one period without restart.
struct WarmupCosine {
  double peak = 1e-3;
  double minimum = 0;
  std::size_t warmup_steps = 0;
  std::size_t total_steps = 0; ///< warm-up included; has to be set

  /// Throws Error unless 0 <= minimum <= peak and 0 < total_steps >= warmup_steps.
  void validate() const {
    require<Error>(math::is_finite(minimum) && math::is_finite(peak) && 0 <= minimum && minimum <= peak,
                   "WarmupCosine: minimum is ", minimum, " and peak is ", peak, ", expected 0 <= minimum <= peak");
    require<Error>(total_steps > 0, "WarmupCosine: total_steps is 0, expected at least 1");
    require<Error>(warmup_steps <= total_steps, "WarmupCosine: warmup_steps is ", warmup_steps,
                   ", expected at most total_steps = ", total_steps);
  }

  /// Throws as `validate`.
  double rate(std::size_t step) const {
    validate();
    if (step >= total_steps) return minimum;
    if (step < warmup_steps) return peak * static_cast<double>(step + 1) / static_cast<double>(warmup_steps + 1);
    auto const done = static_cast<double>(step - warmup_steps) / static_cast<double>(total_steps - warmup_steps);
    return minimum + (peak - minimum) * (1 + std::cos(3.141592653589793 * done)) / 2;
  }
};

} // namespace dchag
