// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <reference/softmax.hpp>

namespace dchag::reference {

struct Attention {
  Array<3> out;      // (B, L, D)
  Array<3> log_sums; // (B, heads, L)
};

/// The logits of one query: q[l] . k[m] / sqrt(d) for all m.
inline std::vector<double> attention_logits(std::size_t heads, Array<3> const& q, Array<3> const& k, std::size_t b,
                                            std::size_t h, std::size_t l) {
  std::size_t const d = q.extents[2] / heads;
  std::vector<double> logits(k.extents[1]);
  for (std::size_t m = 0; m < logits.size(); ++m)
    for (std::size_t j = 0; j < d; ++j)
      logits[m] += q(b, l, h * d + j) * k(b, m, h * d + j) / std::sqrt(static_cast<double>(d));
  return logits;
}

/// softmax(q k^T / sqrt(d)) v for each sample and head, with the whole row of scores.
inline Attention attention_forward(std::size_t heads, Array<3> const& q, Array<3> const& k, Array<3> const& v) {
  auto const [B, L, D] = q.extents;
  std::size_t const d = D / heads;
  Attention result{Array<3>(q.extents), Array<3>({B, heads, L})};
  for (std::size_t b = 0; b < B; ++b) {
    for (std::size_t h = 0; h < heads; ++h) {
      for (std::size_t l = 0; l < L; ++l) {
        auto const logits = attention_logits(heads, q, k, b, h, l);
        auto const p = softmax(logits);
        // p[m] = exp(logit[m]) / sum: the largest one tells the sum without overflow
        auto const largest = std::max_element(p.begin(), p.end()) - p.begin();
        result.log_sums(b, h, l) =
            logits[static_cast<std::size_t>(largest)] - std::log(p[static_cast<std::size_t>(largest)]);
        for (std::size_t m = 0; m < L; ++m)
          for (std::size_t j = 0; j < d; ++j) result.out(b, l, h * d + j) += p[m] * v(b, m, h * d + j);
      }
    }
  }
  return result;
}

struct AttentionGradients {
  Array<3> d_q, d_k, d_v;
};

inline AttentionGradients attention_backward(std::size_t heads, Array<3> const& q, Array<3> const& k, Array<3> const& v,
                                             Array<3> const& d_out) {
  auto const [B, L, D] = q.extents;
  std::size_t const d = D / heads;
  double const scale = 1 / std::sqrt(static_cast<double>(d));
  AttentionGradients g{Array<3>(q.extents), Array<3>(q.extents), Array<3>(q.extents)};
  for (std::size_t b = 0; b < B; ++b) {
    for (std::size_t h = 0; h < heads; ++h) {
      for (std::size_t l = 0; l < L; ++l) {
        auto const p = softmax(attention_logits(heads, q, k, b, h, l));
        std::vector<double> d_p(L);
        for (std::size_t m = 0; m < L; ++m) {
          for (std::size_t j = h * d; j < (h + 1) * d; ++j) {
            d_p[m] += d_out(b, l, j) * v(b, m, j);
            g.d_v(b, m, j) += p[m] * d_out(b, l, j);
          }
        }
        auto const d_logits = softmax_gradient(p, d_p);
        for (std::size_t m = 0; m < L; ++m) {
          for (std::size_t j = h * d; j < (h + 1) * d; ++j) {
            g.d_q(b, l, j) += scale * d_logits[m] * k(b, m, j);
            g.d_k(b, m, j) += scale * d_logits[m] * q(b, l, j);
          }
        }
      }
    }
  }
  return g;
}

} // namespace dchag::reference
