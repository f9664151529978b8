// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/ops/detail/sum_host.hpp>
#include <dchag/ops/detail/sum_products.hpp>

namespace dchag::ops {

namespace detail {
template <class ExecutionSpace, class T, class Source, class W, class Index, class Result>
void require_sum_shapes(char const* where, char const* name, Source const& patches,
                        PatchEmbedding<ExecutionSpace, T> const& embedding, W const& beta, Index const& members,
                        Result const& result) {
  static_assert(W::rank == 1, "fused_sum: w and beta have one axis");
  auto const [K, D, s] = extents_of(embedding.weight);
  require(patches.channels() == embedding.tokens(), where, ": patches of C = ", patches.channels(),
          " channels, expected C = ", embedding.tokens());
  require(patches.pixels() == s, where, ": patches of s = ", patches.pixels(), " pixels, expected s = ", s);
  require_shape(where, "bias", embedding.bias, {K, D});
  require_shape(where, "embedding", embedding.embedding, {K, D});
  require_shape(where, "beta", beta, {1});
  require_shape(where, "members", members, {embedding.tokens()});
  require_shape(where, name, result, {patches.count(), D});
}
} // namespace detail

/// The weighted sum of the tokens of each position, no token of which is ever stored:
///
///     y[n] = sum over i of w[members[i]] x[i, n] + beta
///     x[i, n] = E[k] patch(i, n) + bias[k] + embedding[k]    with k = channels[i]
///
/// Weights and sum are folded into one product with inner extent C s.
///
/// Shapes: patches (C, N, s) of any image that the space can read, w (inputs), beta (1), members (C), none twice,
/// y (N, D). Throws: ShapeError. Source: the paper, section 3 (-L), whose tokens this leaves out.
template <KokkosExecutionSpace ExecutionSpace, Scalar T, class Source, TensorView<1> W, class Index>
void fused_sum_forward(Workspace<ExecutionSpace>& workspace, Source const& patches,
                       PatchEmbedding<ExecutionSpace, T> const& embedding, W const& w, W const& beta,
                       Index const& members, Tensor<ExecutionSpace, T, 2> const& y) {
  detail::require_sum_shapes("fused_sum_forward", "y", patches, embedding, beta, members, y);
  if constexpr (runs_on_host<ExecutionSpace>)
    detail::sum_on_host_forward(workspace, by_strides(patches), embedding, w, beta, members, y,
                                static_cast<std::size_t>(concurrency(workspace.exec())));
  else
    detail::sum_by_products_forward(workspace, patches, embedding, w, beta, members, y);
}

/// The most bytes of a workspace that the passes of such a sum hold at a time on a host with so many workers, without
/// the image's gradient.
template <Scalar T>
PassBytes fused_sum_workspace(std::size_t workers, std::size_t positions, std::size_t tokens, std::size_t pixels,
                              std::size_t width) {
  return detail::sum_on_host_bytes<T>(positions, tokens, pixels, width, workers);
}

/// Gradient: with T[i] = sum over n of d_y[n] patch(i, n)^T and g = sum over n of d_y[n], v = w[members[i]]
///
///     d_E[k] += v T[i]    d_bias[k], d_embedding[k] += v g    d_w[members[i]] += <E[k], T[i]> + (bias[k] +
///     embedding[k]) g d_beta += sum of g    d_patches(i, n) = v E[k]^T d_y[n]
///
/// Shapes: as forward; d_embedding like embedding, whose channels it has. All gradients are added to, but that of the
/// image: `d_patches` are the same patches of a cleared image, or `no_gradient`. Throws: ShapeError.
template <KokkosExecutionSpace ExecutionSpace, Scalar T, class Source, TensorView<1> W, class Index, TensorView<1> DW,
          class DSource>
void fused_sum_backward(Workspace<ExecutionSpace>& workspace, Source const& patches,
                        PatchEmbedding<ExecutionSpace, T> const& embedding, W const& w, Index const& members,
                        Tensor<ExecutionSpace, T, 2> const& d_y, PatchEmbedding<ExecutionSpace, T> const& d_embedding,
                        DW const& d_w, DW const& d_beta, DSource const& d_patches) {
  detail::require_sum_shapes("fused_sum_backward", "d_y", patches, embedding, d_beta, members, d_y);
  require_shape("fused_sum_backward", "d_w", d_w, extents_of(w));
  require_shape("fused_sum_backward", "d_weight", d_embedding.weight, extents_of(embedding.weight));
  require_shape("fused_sum_backward", "d_bias", d_embedding.bias, extents_of(embedding.bias));
  require_shape("fused_sum_backward", "d_embedding", d_embedding.embedding, extents_of(embedding.embedding));
  if constexpr (is_wanted<DSource>)
    require_shape("fused_sum_backward", "image of d_patches", d_patches.image, extents_of(patches.image));
  if constexpr (runs_on_host<ExecutionSpace>)
    detail::sum_on_host_backward(workspace, by_strides(patches), embedding, w, members, d_y, d_embedding, d_w, d_beta,
                                 gradient_by_strides(patches, d_patches),
                                 static_cast<std::size_t>(concurrency(workspace.exec())));
  else
    detail::sum_by_products_backward(workspace, patches, embedding, w, members, d_y, d_embedding, d_w, d_beta,
                                     d_patches);
}

} // namespace dchag::ops
