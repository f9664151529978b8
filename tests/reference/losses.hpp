// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <reference/array.hpp>

namespace dchag::reference {

struct PatchMse {
  double loss;
  Array<2> d_prediction;
};

/// The weighted mean over positions of the mean squared difference; target (C, N, s), prediction (N, C s).
inline PatchMse patch_mse(Array<3> const& target, Array<2> const& prediction, Array<1> const& weight) {
  auto const [C, N, s] = target.extents;
  double total_weight = 0;
  for (double w : weight.values) total_weight += w;
  PatchMse result{0, Array<2>(prediction.extents)};
  for (std::size_t n = 0; n < N; ++n) {
    if (weight(n) == 0) continue;
    double const share = weight(n) / total_weight / static_cast<double>(C * s);
    for (std::size_t c = 0; c < C; ++c) {
      for (std::size_t k = 0; k < s; ++k) {
        double const difference = prediction(n, c * s + k) - target(c, n, k);
        result.loss += share * difference * difference;
        result.d_prediction(n, c * s + k) = 2 * share * difference;
      }
    }
  }
  return result;
}

} // namespace dchag::reference
