// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <reference/softmax.hpp>

namespace dchag::reference {

struct AttentionPooling {
  Array<3> a; // (N, heads, M)
  Array<2> o; // (N, D)
};

/// a[n, h, c] = softmax over c of k[c, n, h] . q[h] / sqrt(d), o[n, h] = sum over c of a[n, h, c] u[c, n, h].
inline AttentionPooling attention_pooling_forward(std::size_t heads, Array<1> const& q, Array<3> const& k,
                                                  Array<3> const& u) {
  auto const [M, N, D] = k.extents;
  std::size_t const d = D / heads;
  AttentionPooling result{Array<3>({N, heads, M}), Array<2>({N, D})};
  for (std::size_t n = 0; n < N; ++n) {
    for (std::size_t h = 0; h < heads; ++h) {
      std::vector<double> logits(M);
      for (std::size_t c = 0; c < M; ++c)
        for (std::size_t j = h * d; j < (h + 1) * d; ++j)
          logits[c] += k(c, n, j) * q(j) / std::sqrt(static_cast<double>(d));
      auto const a = softmax(logits);
      for (std::size_t c = 0; c < M; ++c) {
        result.a(n, h, c) = a[c];
        for (std::size_t j = h * d; j < (h + 1) * d; ++j) result.o(n, j) += a[c] * u(c, n, j);
      }
    }
  }
  return result;
}

struct AttentionPoolingGradients {
  Array<1> d_q;
  Array<3> d_k, d_u;
};

inline AttentionPoolingGradients attention_pooling_backward(std::size_t heads, Array<1> const& q, Array<3> const& k,
                                                            Array<3> const& u, Array<2> const& d_o) {
  auto const [M, N, D] = k.extents;
  std::size_t const d = D / heads;
  double const scale = 1 / std::sqrt(static_cast<double>(d));
  auto const forward = attention_pooling_forward(heads, q, k, u);
  AttentionPoolingGradients g{Array<1>(q.extents), Array<3>(k.extents), Array<3>(u.extents)};
  for (std::size_t n = 0; n < N; ++n) {
    for (std::size_t h = 0; h < heads; ++h) {
      std::vector<double> a(M);
      std::vector<double> d_a(M);
      for (std::size_t c = 0; c < M; ++c) {
        a[c] = forward.a(n, h, c);
        for (std::size_t j = h * d; j < (h + 1) * d; ++j) {
          d_a[c] += d_o(n, j) * u(c, n, j);
          g.d_u(c, n, j) = a[c] * d_o(n, j);
        }
      }
      auto const d_logits = softmax_gradient(a, d_a);
      for (std::size_t c = 0; c < M; ++c) {
        for (std::size_t j = h * d; j < (h + 1) * d; ++j) {
          g.d_k(c, n, j) = scale * d_logits[c] * q(j);
          g.d_q(j) += scale * d_logits[c] * k(c, n, j);
        }
      }
    }
  }
  return g;
}

} // namespace dchag::reference
