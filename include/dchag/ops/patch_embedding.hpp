// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/tensor.hpp>

namespace dchag::ops {

/// The weights of tokens that are made where they are used, or the gradients of those weights:
///
///     x[c, n] = weight[k] patch(c, n) + bias[k] + embedding[k]    with k = channels[c]
///
/// Shapes: weight (K, D, s), bias and embedding (K, D) of the K channels that are held; channels (C), below K and none
/// twice: the held channel of each token.
template <KokkosExecutionSpace ExecutionSpace, Scalar T>
struct PatchEmbedding {
  Tensor<ExecutionSpace, T, 3> weight;
  Tensor<ExecutionSpace, T, 2> bias, embedding;
  Tensor<ExecutionSpace, std::size_t, 1> channels;

  std::size_t tokens() const { return channels.extent(0); }
  std::size_t width() const { return weight.extent(1); }
  std::size_t pixels() const { return weight.extent(2); }

  /// Those of the tokens [begin, end).
  PatchEmbedding part(std::size_t begin, std::size_t end) const {
    return {weight, bias, embedding, Tensor<ExecutionSpace, std::size_t, 1>(channels.data() + begin, end - begin)};
  }
};

} // namespace dchag::ops
