// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/ops/patch_embedding.hpp>
#include <dchag/ops/patches.hpp>

namespace dchag {

/// The tokens (C, N, D) of an image, not made: its patches and the weights that make tokens of them. A level of a tree
/// takes them where it would take stored tokens.
template <KokkosExecutionSpace ExecutionSpace, Scalar T, class Source>
struct ChannelTokens {
  Source patches;                                 // (C, N, s)
  ops::PatchEmbedding<ExecutionSpace, T> weights; // of the tokens' channels
};

/// Where the gradients of such tokens go: to the weights, and to the pixels of `patches` if that is not `no_gradient`.
template <KokkosExecutionSpace ExecutionSpace, Scalar T, class DSource>
struct ChannelTokenGradients {
  DSource patches;
  ops::PatchEmbedding<ExecutionSpace, T> weights;
};

/// The tokens [begin, end).
template <class ImageView, class IndexSpace>
ops::Patches<ImageView, IndexSpace> slices(ops::Patches<ImageView, IndexSpace> patches, std::size_t begin,
                                           std::size_t end) {
  patches.planes = decltype(patches.planes)(patches.planes.data() + begin, end - begin);
  return patches;
}
template <class ExecutionSpace, class T, class Source>
ChannelTokens<ExecutionSpace, T, Source> slices(ChannelTokens<ExecutionSpace, T, Source> const& tokens,
                                                std::size_t begin, std::size_t end) {
  return {slices(tokens.patches, begin, end), tokens.weights.part(begin, end)};
}
template <class ExecutionSpace, class T, class DSource>
ChannelTokenGradients<ExecutionSpace, T, DSource> slices(ChannelTokenGradients<ExecutionSpace, T, DSource> const& d,
                                                         std::size_t begin, std::size_t end) {
  if constexpr (is_wanted<DSource>)
    return {slices(d.patches, begin, end), d.weights.part(begin, end)};
  else
    return {no_gradient, d.weights.part(begin, end)};
}

} // namespace dchag
