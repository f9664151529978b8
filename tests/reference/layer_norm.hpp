// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cmath>
#include <reference/array.hpp>

namespace dchag::reference {

struct LayerNorm {
  Array<2> y;
  Array<1> mean, rstd;
};

inline LayerNorm layer_norm_forward(Array<2> const& x, Array<1> const& scale, Array<1> const& shift, double epsilon) {
  auto const [N, D] = x.extents;
  LayerNorm out{Array<2>(x.extents), Array<1>({N}), Array<1>({N})};
  for (std::size_t n = 0; n < N; ++n) {
    double mean = 0;
    for (std::size_t j = 0; j < D; ++j) mean += x(n, j) / static_cast<double>(D);
    double variance = 0;
    for (std::size_t j = 0; j < D; ++j) variance += std::pow(x(n, j) - mean, 2) / static_cast<double>(D);
    out.mean(n) = mean;
    out.rstd(n) = 1 / std::sqrt(variance + epsilon);
    for (std::size_t j = 0; j < D; ++j) out.y(n, j) = scale(j) * (x(n, j) - mean) * out.rstd(n) + shift(j);
  }
  return out;
}

struct LayerNormGradients {
  Array<2> d_x;
  Array<1> d_scale, d_shift;
};

/// By the chain rule through the variance and the mean, one after the other.
inline LayerNormGradients layer_norm_backward(Array<2> const& x, Array<1> const& scale, double epsilon,
                                              Array<2> const& d_y) {
  auto const [N, D] = x.extents;
  auto const width = static_cast<double>(D);
  auto const statistics = layer_norm_forward(x, scale, Array<1>({D}), epsilon);
  LayerNormGradients d{Array<2>(x.extents), Array<1>({D}), Array<1>({D})};
  for (std::size_t n = 0; n < N; ++n) {
    double const mean = statistics.mean(n);
    double const rstd = statistics.rstd(n);
    double d_rstd = 0;
    double d_mean = 0;
    for (std::size_t j = 0; j < D; ++j) {
      d.d_scale(j) += d_y(n, j) * (x(n, j) - mean) * rstd;
      d.d_shift(j) += d_y(n, j);
      d_rstd += d_y(n, j) * scale(j) * (x(n, j) - mean);
      d_mean -= d_y(n, j) * scale(j) * rstd;
    }
    double const d_variance = d_rstd * -0.5 * rstd * rstd * rstd;
    for (std::size_t j = 0; j < D; ++j) d_mean -= d_variance * 2 * (x(n, j) - mean) / width;
    for (std::size_t j = 0; j < D; ++j)
      d.d_x(n, j) = d_y(n, j) * scale(j) * rstd + d_variance * 2 * (x(n, j) - mean) / width + d_mean / width;
  }
  return d;
}

} // namespace dchag::reference
