// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/check.hpp>
#include <dchag/ops/detail/pooling_batched.hpp>
#include <dchag/ops/detail/pooling_host.hpp>

namespace dchag::ops {

namespace detail {
/// Whether the positions are taken as lanes of a host's registers, not as products of a library.
template <class ExecutionSpace, class Token, class T>
inline constexpr bool takes_lanes = runs_on_host<ExecutionSpace> &&
                                    (std::is_same_v<Token, SameAsWeights> || std::is_same_v<Token, T>);
} // namespace detail

/// How a pooling of these sizes would be carried out on a host with so many workers, or as many as this instance has.
/// A device takes the same values and larger tiles.
template <class T>
PoolingPlan plan_fused_pooling(std::size_t workers, PoolingSizes const& sizes, PoolingChoice const& choice) {
  return plan_pooling(sizes, choice, detail::host_tile<T>(sizes.pixels), detail::lanes<T>, workers);
}
template <class T, KokkosExecutionSpace ExecutionSpace>
PoolingPlan plan_fused_pooling(ExecutionSpace const& exec, PoolingSizes const& sizes, PoolingChoice const& choice) {
  return plan_fused_pooling<T>(detail::workers_of(exec), sizes, choice);
}

/// The most bytes of a workspace that the passes of a pooling of these sizes hold at a time on a host with so many
/// workers, with tokens of T and without the image's gradient.
template <Scalar T>
PassBytes fused_pooling_workspace(std::size_t workers, PoolingSizes const& sizes, PoolingChoice const& choice) {
  auto const plan = plan_fused_pooling<T>(workers, sizes, choice);
  auto const lanes = detail::lane_sizes(sizes, workers);
  return plan.values == Values::pixels ? detail::lane_pixels_bytes<T>(lanes, plan.tile)
                                       : detail::lane_tokens_bytes<T>(lanes, plan.tile);
}

/// One absorbed query attends to the tokens of each position, which are made from their patches where they are used and
/// never stored:
///
///     x[c, n] = E[c] patch(c, n) + bias[c] + embedding[c]
///     a[n, h, c] = softmax over c of r[h] . x[c, n]          o[n, h] = W_v[h] sum over c of a[n, h, c] x[c, n]
///
/// Steps: the keys are folded into the pixels, r[h] . E[c] patch; the values come from tokens made tile by tile, or are
/// folded too (`Values`), as the cost model of `plan_pooling` or the caller's `choice` says. Values that were folded
/// before (`fold_values`) are used as they are.
/// Shapes: patches (C, N, s); pooled.o (N, V), pooled.maximum and pooled.sum (N, h); folded (C, s + 1, V) or empty.
/// Returns what was done. `Token` is what tokens are made of: T unless it is said, or `bfloat16` with T float.
/// Scratch is of a size that N changes by O(D) numbers a position at most.
/// Throws: ShapeError.
/// Source: own. A query that does not depend on the position can be absorbed into the keys' weights; statistics as in
/// FlashAttention-2 (Dao 2023).
template <class Token = detail::SameAsWeights, KokkosExecutionSpace ExecutionSpace, Scalar T, class Source>
PoolingPlan fused_pooling_forward(Workspace<ExecutionSpace>& workspace, PoolingChoice const& choice,
                                  Source const& patches, PoolingWeights<ExecutionSpace, T> const& weights,
                                  Pooled<ExecutionSpace, T> const& pooled,
                                  Tensor<ExecutionSpace, T, 3> const& folded = {}) {
  detail::require_pooling_shapes("fused_pooling_forward", patches, weights, pooled);
  bool const is_folded = folded.data() != nullptr;
  if (is_folded)
    require_shape("fused_pooling_forward", "folded", folded,
                  {weights.patch_embedding.tokens(), patches.pixels() + 1, weights.value.extent(0)});
  if constexpr (detail::takes_lanes<ExecutionSpace, Token, T>) {
    auto const plan = plan_fused_pooling<T>(workspace.exec(), detail::sizes_of(patches, weights),
                                            {is_folded ? Values::pixels : choice.values, choice.tile});
    detail::pooling_on_host_forward(workspace, plan, by_strides(patches), weights, pooled, folded);
    return plan;
  } else {
    return detail::batched_pooling_forward<Token>(workspace, choice, patches, weights, pooled, folded);
  }
}

/// Gradients from d_o. The weights a are made again from the maximum and the sum, which may be those of more channels
/// than these (on other ranks).
///
/// Shapes: as forward; delta (N, h), the sum over a head's features of d_o * o; d_weights like weights, its query
/// overwritten, all else added to, its list of channels the same; d_patches, of the gradient of the image, whose pixels
/// that are read here are overwritten, or `no_gradient`.
template <class Token = detail::SameAsWeights, KokkosExecutionSpace ExecutionSpace, Scalar T, class Source,
          class DSource>
void fused_pooling_backward(Workspace<ExecutionSpace>& workspace, PoolingChoice const& choice, Source const& patches,
                            PoolingWeights<ExecutionSpace, T> const& weights, Pooled<ExecutionSpace, T> const& pooled,
                            Tensor<ExecutionSpace, T, 2> const& d_o, Tensor<ExecutionSpace, T, 2> const& delta,
                            PoolingWeights<ExecutionSpace, T> const& d_weights, DSource const& d_patches) {
  detail::require_pooling_shapes("fused_pooling_backward", patches, weights, pooled);
  detail::require_gradient_shapes("fused_pooling_backward", patches, weights, d_weights, d_patches);
  require_shape("fused_pooling_backward", "d_o", d_o, extents_of(pooled.o));
  require_shape("fused_pooling_backward", "delta", delta, extents_of(pooled.sum));
  if constexpr (detail::takes_lanes<ExecutionSpace, Token, T>) {
    auto const plan = plan_fused_pooling<T>(workspace.exec(), detail::sizes_of(patches, weights), choice);
    detail::pooling_on_host_backward(workspace, plan, by_strides(patches), weights, pooled, d_o, delta, d_weights,
                                     gradient_by_strides(patches, d_patches));
  } else {
    detail::batched_pooling_backward<Token>(workspace, choice, patches, weights, pooled, d_o, delta, d_weights,
                                            d_patches);
  }
}

/// The values of all tokens folded into their pixels, for inference with weights that no longer change:
/// folded[c, k] = W_v E[c, k], and of the bias and embedding at k = s.
/// Shapes: folded (C, s + 1, V). Throws: ShapeError.
template <KokkosExecutionSpace ExecutionSpace, Scalar T>
void fold_values(Workspace<ExecutionSpace>& workspace, PoolingWeights<ExecutionSpace, T> const& weights,
                 Tensor<ExecutionSpace, T, 3> const& folded) {
  auto const& embedding = weights.patch_embedding;
  require(embedding.tokens() > 0, "fold_values: there are no tokens");
  require_shape("fold_values", "value", weights.value, {weights.value.extent(0), embedding.width()});
  require_shape("fold_values", "folded", folded, {embedding.tokens(), embedding.pixels() + 1, weights.value.extent(0)});
  detail::batched_fold_values(workspace, weights, folded);
}

} // namespace dchag::ops
