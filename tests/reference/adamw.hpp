// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cmath>
#include <vector>

namespace dchag::reference {

/// One parameter under AdamW, number by number: Adam's moments and their unbiased estimates, and the decay, which never
/// enters them.
struct AdamW {
  double beta1, beta2, epsilon, weight_decay;
  std::vector<double> value;
  std::vector<double> m = std::vector<double>(value.size());
  std::vector<double> v = std::vector<double>(value.size());
  int t = 0;

  void step(std::vector<double> const& gradient, double rate) {
    ++t;
    for (std::size_t i = 0; i < value.size(); ++i) {
      double const g = gradient[i];
      value[i] = value[i] - rate * weight_decay * value[i];
      m[i] = beta1 * m[i] + (1 - beta1) * g;
      v[i] = beta2 * v[i] + (1 - beta2) * g * g;
      double const m_hat = m[i] / (1 - std::pow(beta1, t));
      double const v_hat = v[i] / (1 - std::pow(beta2, t));
      value[i] = value[i] - rate * m_hat / (std::sqrt(v_hat) + epsilon);
    }
  }
};

} // namespace dchag::reference
