// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/ops/detail/pooling_batched_pixels.hpp>
#include <dchag/ops/detail/pooling_batched_tokens.hpp>
#include <dchag/ops/patches.hpp>

namespace dchag::ops::detail {

struct SameAsWeights {};
template <class TokenType, class T>
using TokenTypeOf = std::conditional_t<std::is_same_v<TokenType, SameAsWeights>, T, TokenType>;

template <KokkosExecutionSpace ExecutionSpace, Scalar T, class Source>
void require_pooling_shapes(char const* where, Source const& patches, PoolingWeights<ExecutionSpace, T> const& weights,
                            Pooled<ExecutionSpace, T> const& pooled) {
  auto const& embedding = weights.patch_embedding;
  auto const heads = weights.query.extent(0);
  auto const width = embedding.width();
  auto const channels = embedding.weight.extent(0);
  auto const outputs = weights.value.extent(0);
  require(heads > 0 && outputs % heads == 0, where, ": V = ", outputs,
          " features of the output are not a multiple of heads = ", heads);
  require(embedding.tokens() > 0, where, ": there are no tokens to attend to");
  require(patches.channels() == embedding.tokens() && patches.pixels() == embedding.pixels(), where,
          ": patches are of C = ", patches.channels(), " channels of s = ", patches.pixels(),
          " pixels, expected C = ", embedding.tokens(), " and s = ", embedding.pixels());
  require_shape(where, "bias", embedding.bias, {channels, width});
  require_shape(where, "embedding", embedding.embedding, {channels, width});
  require_shape(where, "query", weights.query, {heads, width});
  require_shape(where, "value", weights.value, {outputs, width});
  require_shape(where, "o", pooled.o, {patches.count(), outputs});
  require_shape(where, "maximum", pooled.maximum, {patches.count(), heads});
  require_shape(where, "sum", pooled.sum, {patches.count(), heads});
}

template <class Source, class Weights, class DSource>
void require_gradient_shapes(char const* where, Source const& patches, Weights const& weights, Weights const& d_weights,
                             DSource const& d_patches) {
  auto const& embedding = weights.patch_embedding;
  auto const& d_embedding = d_weights.patch_embedding;
  require_shape(where, "d_weight", d_embedding.weight, extents_of(embedding.weight));
  require_shape(where, "d_bias", d_embedding.bias, extents_of(embedding.bias));
  require_shape(where, "d_embedding", d_embedding.embedding, extents_of(embedding.embedding));
  require(d_embedding.tokens() == embedding.tokens(), where, ": gradients of C = ", d_embedding.tokens(),
          " channels, expected C = ", embedding.tokens());
  require_shape(where, "d_query", d_weights.query, extents_of(weights.query));
  require_shape(where, "d_value", d_weights.value, extents_of(weights.value));
  if constexpr (is_wanted<DSource>)
    require(d_patches.channels() == patches.channels() && d_patches.count() == patches.count() &&
                d_patches.pixels() == patches.pixels(),
            where, ": d_patches are of C = ", d_patches.channels(), ", N = ", d_patches.count(),
            ", s = ", d_patches.pixels(), ", expected C = ", patches.channels(), ", N = ", patches.count(),
            ", s = ", patches.pixels());
}

/// The fused attention pooling as batched products over tiles of positions and parts of the channels.
///
///     logits z[n, h, c] = r[h] . x[c, n]    a = softmax over c of z    o[n, h] = W_v[h] (sum over c of a[n, h, c] x[c,
///     n])
///
/// Shapes: patches (C, N, s); others as in `PoolingWeights` and `Pooled`. Scratch is bounded whatever N is: by a
/// budget, the weights of one position for all C, and a share of h (s + 1) / (D s) of the parameters. Returns what was
/// done. TokenType: what patches, embeddings and tokens are stored as in the token form, and multiplied as: T unless
/// given, or bfloat16 where T is float. Throws: ShapeError. Source: mathematics of the fused form; the statistics as in
/// FlashAttention-2.
template <class TokenType = SameAsWeights, KokkosExecutionSpace ExecutionSpace, Scalar T, class Source>
PoolingPlan batched_pooling_forward(Workspace<ExecutionSpace>& workspace, PoolingChoice const& choice,
                                    Source const& patches, PoolingWeights<ExecutionSpace, T> const& weights,
                                    Pooled<ExecutionSpace, T> const& pooled,
                                    Tensor<ExecutionSpace, T, 3> const& folded = {}) {
  require_pooling_shapes("batched_pooling_forward", patches, weights, pooled);
  auto const sizes = sizes_of(patches, weights);
  auto const values = folded.data() != nullptr ? Values::pixels : cheaper_values(sizes, choice.values);
  std::size_t const tile =
      values == Values::pixels
          ? batched_pixels_forward(workspace, choice.tile, patches, weights, pooled, folded)
          : batched_tokens_forward<TokenTypeOf<TokenType, T>>(workspace, choice.tile, patches, weights, pooled);
  return plan_of(sizes, values, tile);
}

/// Gradients of the weights and, if wanted, of the image, from d_o. maximum and sum may be those of more tokens than
/// these.
///
/// Shapes: d_o (N, V); delta (N, h): the sum over a head's features of d_o * o; d_weights as weights: query is
/// overwritten, the others are added to. d_patches: patches of the image's gradient, whose pixels that are read here
/// are overwritten, or `no_gradient`. Throws: ShapeError.
template <class TokenType = SameAsWeights, KokkosExecutionSpace ExecutionSpace, Scalar T, class Source, class DSource>
void batched_pooling_backward(Workspace<ExecutionSpace>& workspace, PoolingChoice const& choice, Source const& patches,
                              PoolingWeights<ExecutionSpace, T> const& weights, Pooled<ExecutionSpace, T> const& pooled,
                              Tensor<ExecutionSpace, T, 2> const& d_o, Tensor<ExecutionSpace, T, 2> const& delta,
                              PoolingWeights<ExecutionSpace, T> const& d_weights, DSource const& d_patches) {
  require_pooling_shapes("batched_pooling_backward", patches, weights, pooled);
  require_gradient_shapes("batched_pooling_backward", patches, weights, d_weights, d_patches);
  require_shape("batched_pooling_backward", "d_o", d_o, extents_of(pooled.o));
  require_shape("batched_pooling_backward", "delta", delta, extents_of(pooled.sum));
  if (cheaper_values(sizes_of(patches, weights), choice.values) == Values::pixels)
    batched_pixels_backward(workspace, choice.tile, patches, weights, pooled, d_o, delta, d_weights, d_patches);
  else
    batched_tokens_backward<TokenTypeOf<TokenType, T>>(workspace, choice.tile, patches, weights, pooled, d_o, delta,
                                                       d_weights, d_patches);
}

} // namespace dchag::ops::detail
