// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/ops/patch_embedding.hpp>

namespace dchag::ops {

/// What a fused attention pooling needs besides the patches.
///
/// Shapes: query (h, D), absorbed: r[h] = W_k[h]^T q[h] / sqrt(d); value (V, D) is W_v, d rows for each head: V = h d,
/// which is D unless these are only some of a module's heads.
template <KokkosExecutionSpace ExecutionSpace, Scalar T>
struct PoolingWeights {
  PatchEmbedding<ExecutionSpace, T> patch_embedding;
  Tensor<ExecutionSpace, T, 2> query;
  Tensor<ExecutionSpace, T, 2> value;
};

/// What it keeps for the backward pass: o (N, V) without a bias, and of the logits of each head their maximum and the
/// sum of exp(logit - maximum), (N, h) each.
template <KokkosExecutionSpace ExecutionSpace, Scalar T>
struct Pooled {
  Tensor<ExecutionSpace, T, 2> o, maximum, sum;
};

} // namespace dchag::ops
