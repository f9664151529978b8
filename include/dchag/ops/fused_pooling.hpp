// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/check.hpp>
#include <dchag/core/workspace.hpp>
#include <dchag/ops/patch_embedding.hpp>
#include <dchag/ops/patches.hpp>
#include <dchag/ops/pooling_plan.hpp>

namespace dchag::ops {

/// What a fused attention pooling needs besides the patches.
///
/// Shapes: query (h, D), absorbed: r[h] = W_k[h]^T q[h] / sqrt(d); value (D, D) is W_v.
template <KokkosExecutionSpace ExecutionSpace, Scalar T>
struct PoolingWeights {
  PatchEmbedding<ExecutionSpace, T> patch_embedding;
  Tensor<ExecutionSpace, T, 2> query;
  Tensor<ExecutionSpace, T, 2> value;
};

/// What it keeps for the backward pass: o (N, D) without a bias, and of the logits of each head their maximum and the
/// sum of exp(logit - maximum), (N, h) each.
template <KokkosExecutionSpace ExecutionSpace, Scalar T>
struct Pooled {
  Tensor<ExecutionSpace, T, 2> o, maximum, sum;
};

// forward:
//   template <E, T, Source>
//   void fused_pooling_forward(Workspace<E>& workspace, PoolingChoice const& choice, Source const& patches,
//                              PoolingWeights<E, T> const& weights, Pooled<E, T> const& pooled);
// backward:
//   template <E, T, Source, DSource>   DSource: Patches of the image's gradient, cleared by the caller, or NoGradient
//   void fused_pooling_backward(Workspace<E>& workspace, PoolingChoice const& choice, Source const& patches,
//                               PoolingWeights<E, T> const& weights,
//                               Pooled<E, T> const& pooled,       // maximum and sum may be those of more channels
//                               Tensor<E, T, 2> const& d_o,        // (N, D)
//                               Tensor<E, T, 2> const& delta,      // (N, h): sum over the head's features of d_o * o
//                               PoolingWeights<E, T> const& d_weights, // .query overwritten, the others added to
//                               DSource const& d_patches);

} // namespace dchag::ops
