// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <reference/array.hpp>

namespace dchag::reference {

/// What the weighted sum of tokens x[i, n] = E[k] patch(i, n) + bias[k] + embedding[k], k = channels[i], is made from.
struct SumOfTokens {
  Array<3> weight;          // (K, D, s)
  Array<2> bias, embedding; // (K, D)
  Array<1> w;               // (inputs)
  double beta;
  std::vector<std::size_t> channels, members; // (C)

  double token(std::size_t i, std::size_t n, std::size_t j, Array<3> const& patches) const {
    std::size_t const s = weight.extents[2];
    double const* e = &weight.values[(channels[i] * weight.extents[1] + j) * s];
    double const* patch = &patches.values[(i * patches.extents[1] + n) * s];
    double x = bias(channels[i], j) + embedding(channels[i], j);
    for (std::size_t k = 0; k < s; ++k) x += e[k] * patch[k];
    return x;
  }
};

/// y[n] = sum over i of w[members[i]] x[i, n] + beta. Shapes: patches (C, N, s) -> (N, D).
inline Array<2> sum_of_tokens(SumOfTokens const& sum, Array<3> const& patches) {
  Array<2> y({patches.extents[1], sum.weight.extents[1]}, sum.beta);
  for (std::size_t i = 0; i < sum.channels.size(); ++i)
    for (std::size_t n = 0; n < y.extents[0]; ++n)
      for (std::size_t j = 0; j < y.extents[1]; ++j) y(n, j) += sum.w(sum.members[i]) * sum.token(i, n, j, patches);
  return y;
}

struct SumOfTokensGradients {
  SumOfTokens d; // channels and members are empty
  Array<3> d_patches;
};

/// Through the gradient of each token, d_x[i, n] = w[members[i]] d_y[n].
inline SumOfTokensGradients sum_of_tokens_backward(SumOfTokens const& sum, Array<3> const& patches,
                                                   Array<2> const& d_y) {
  SumOfTokensGradients result{{Array<3>(sum.weight.extents),
                               Array<2>(sum.bias.extents),
                               Array<2>(sum.bias.extents),
                               Array<1>(sum.w.extents),
                               0,
                               {},
                               {}},
                              Array<3>(patches.extents)};
  auto& [d, d_patches] = result;
  auto const [C, N, s] = patches.extents;
  std::size_t const D = d_y.extents[1];
  for (std::size_t i = 0; i < C; ++i) {
    for (std::size_t n = 0; n < N; ++n) {
      double* const d_patch = &d_patches.values[(i * N + n) * s];
      double const* const patch = &patches.values[(i * N + n) * s];
      for (std::size_t j = 0; j < D; ++j) {
        double const d_x = sum.w(sum.members[i]) * d_y(n, j);
        double* const d_e = &d.weight.values[(sum.channels[i] * D + j) * s];
        double const* const e = &sum.weight.values[(sum.channels[i] * D + j) * s];
        for (std::size_t k = 0; k < s; ++k) {
          d_e[k] += d_x * patch[k];
          d_patch[k] += d_x * e[k];
        }
        d.bias(sum.channels[i], j) += d_x;
        d.embedding(sum.channels[i], j) += d_x;
        d.w(sum.members[i]) += sum.token(i, n, j, patches) * d_y(n, j);
      }
    }
  }
  for (double value : d_y.values) d.beta += value;
  return result;
}

} // namespace dchag::reference
