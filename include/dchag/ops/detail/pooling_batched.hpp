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

/// The fused attention pooling as batched products over tiles of positions and parts of the channels.
///
///     logits z[n, h, c] = r[h] . x[c, n]    a = softmax over c of z    o[n, h] = W_v[h] (sum over c of a[n, h, c] x[c,
///     n])
///
/// Shapes: patches (C, N, s); others as in `PoolingWeights` and `Pooled`. Scratch is bounded whatever N and C are, but
/// for a share of h (s + 1) / (D s) of the weights. TokenType: what patches, embeddings and tokens are stored as in the
/// token form, and multiplied as: T unless given, or bfloat16 where T is float. Throws: ShapeError.
/// Source: mathematics of the fused form; the statistics as in FlashAttention-2.
template <class TokenType = SameAsWeights, KokkosExecutionSpace ExecutionSpace, Scalar T, class Source>
void batched_pooling_forward(Workspace<ExecutionSpace>& workspace, PoolingChoice const& choice, Source const& patches,
                             PoolingWeights<ExecutionSpace, T> const& weights, Pooled<ExecutionSpace, T> const& pooled,
                             Tensor<ExecutionSpace, T, 3> const& folded = {}) {
  require_pooling_shapes("batched_pooling_forward", patches, weights, pooled);
  if (folded.data() != nullptr || cheaper_values(sizes_of(patches, weights), choice.values) == Values::pixels)
    batched_pixels_forward(workspace, choice.tile, patches, weights, pooled, folded);
  else
    batched_tokens_forward<TokenTypeOf<TokenType, T>>(workspace, choice.tile, patches, weights, pooled);
}

/// Gradients of the weights and, if wanted, of the image, from d_o. maximum and sum may be those of more tokens than
/// these.
///
/// Shapes: d_o (N, V); delta (N, h): the sum over a head's features of d_o * o; d_weights as weights: query is
/// overwritten, the others are added to. d_patches: patches of the image's gradient, which the caller cleared, or
/// `no_gradient`. Throws: ShapeError.
template <class TokenType = SameAsWeights, KokkosExecutionSpace ExecutionSpace, Scalar T, class Source, class DSource>
void batched_pooling_backward(Workspace<ExecutionSpace>& workspace, PoolingChoice const& choice, Source const& patches,
                              PoolingWeights<ExecutionSpace, T> const& weights, Pooled<ExecutionSpace, T> const& pooled,
                              Tensor<ExecutionSpace, T, 2> const& d_o, Tensor<ExecutionSpace, T, 2> const& delta,
                              PoolingWeights<ExecutionSpace, T> const& d_weights, DSource const& d_patches) {
  require_pooling_shapes("batched_pooling_backward", patches, weights, pooled);
  require_shape("batched_pooling_backward", "d_o", d_o, extents_of(pooled.o));
  require_shape("batched_pooling_backward", "delta", delta, extents_of(pooled.sum));
  if (cheaper_values(sizes_of(patches, weights), choice.values) == Values::pixels)
    batched_pixels_backward(workspace, choice.tile, patches, weights, pooled, d_o, delta, d_weights, d_patches);
  else
    batched_tokens_backward<TokenTypeOf<TokenType, T>>(workspace, choice.tile, patches, weights, pooled, d_o, delta,
                                                       d_weights, d_patches);
}

} // namespace dchag::ops::detail
