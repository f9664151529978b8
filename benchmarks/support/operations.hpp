// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/channels/cross_attention.hpp>
#include <dchag/channels/linear.hpp>
#include <dchag/channels/tree.hpp>

#include <algorithm>

/// \file
/// Useful operations, one multiplication and one addition counting two, of forward and backward together. Sums over
/// rows, exponentials and whatever is linear in the tokens without a factor of M are left out.
namespace dchag::bench {

/// Tokens 2 N C s D, gradients of the weights as many.
inline double tokenizer_forward(double N, double C, double s, double D) {
  return 2 * N * C * s * D;
}
inline double tokenizer_backward(double N, double C, double s, double D) {
  return 2 * N * C * s * D;
}

/// A module over M tokens of width D at N positions, forward and backward.
template <class Layer>
struct ModuleOperations;

/// Materialized: keys and values 4 N M D^2, logits and weighted sum 4 N M D, output 2 N D^2; the backward pass twice
/// that, for the gradients of the factors of each product.
template <>
struct ModuleOperations<CrossAttention> {
  static double count(double N, double M, double D) { return 3 * (4 * N * M * D * D + 4 * N * M * D + 2 * N * D * D); }
};
/// Weighted sum 2 N M D, gradient of the weights 2 N M D, of the tokens N M D.
template <>
struct ModuleOperations<Linear> {
  static double count(double N, double M, double D) { return 5 * N * M * D; }
};

/// A tree over so many inputs: each level reduces the outputs of the one below.
template <class Policy>
struct TreeOperations;
template <class... Levels>
struct TreeOperations<MixedTree<Levels...>> {
  static double count(double N, std::size_t inputs, double D) {
    double total = 0;
    (add_level<Levels>(total, N, inputs, D), ...);
    return total;
  }

private:
  template <class Level>
  static void add_level(double& total, double N, std::size_t& inputs, double D) {
    std::size_t const groups = std::min(Level::groups, inputs);
    for (std::size_t g = 0; g < groups; ++g)
      total += ModuleOperations<typename Level::layer>::count(
          N, static_cast<double>(even_part(inputs, groups, g).size()), D);
    inputs = groups;
  }
};

/// A module of the fused form over M tokens at N positions, forward and backward. Here operations count as they are
/// carried out: what the backward pass makes again counts again, as in `ops::pooling_operations`.
template <class Layer>
struct FusedModuleOperations;

/// First level: `ops::pooling_operations` of the way that the plan chooses, output 6 N D^2. Levels above, whose tokens
/// are stored: logits and weighted sum, both twice, 8 N M h D, gradients of both factors of each 8 N M h D, values and
/// output 12 N D^2.
template <>
struct FusedModuleOperations<CrossAttention> {
  static double first(ops::PoolingSizes const& sizes, ops::PoolingChoice const& choice) {
    auto const N = static_cast<double>(sizes.positions);
    auto const D = static_cast<double>(sizes.width);
    return ops::plan_pooling(sizes, choice, 1, 1, 1).operations + 6 * N * D * D;
  }
  static double above(ops::PoolingSizes const& sizes) {
    auto const N = static_cast<double>(sizes.positions);
    auto const M = static_cast<double>(sizes.tokens);
    auto const D = static_cast<double>(sizes.width);
    return N * (16 * M * static_cast<double>(sizes.heads) * D + 12 * D * D);
  }
};
/// First level: the tokenizer's products, which the weighted sum is folded into. Levels above are the materialized
/// ones.
template <>
struct FusedModuleOperations<Linear> {
  static double first(ops::PoolingSizes const& sizes, ops::PoolingChoice const&) {
    auto const N = static_cast<double>(sizes.positions);
    auto const C = static_cast<double>(sizes.tokens);
    auto const s = static_cast<double>(sizes.pixels);
    auto const D = static_cast<double>(sizes.width);
    return tokenizer_forward(N, C, s, D) + tokenizer_backward(N, C, s, D);
  }
  static double above(ops::PoolingSizes const& sizes) {
    return ModuleOperations<Linear>::count(static_cast<double>(sizes.positions), static_cast<double>(sizes.tokens),
                                           static_cast<double>(sizes.width));
  }
};

/// Tokenizer and tree of the fused form over the channels `sizes.tokens`.
template <class Policy>
struct FusedOperations;
template <class... Levels>
struct FusedOperations<MixedTree<Levels...>> {
  static double count(ops::PoolingSizes const& sizes, ops::PoolingChoice const& choice = {}) {
    double total = 0;
    std::size_t inputs = sizes.tokens;
    bool first = true;
    (add_level<Levels>(total, sizes, choice, inputs, first), ...);
    return total;
  }

private:
  template <class Level>
  static void add_level(double& total, ops::PoolingSizes sizes, ops::PoolingChoice const& choice, std::size_t& inputs,
                        bool& first) {
    using Operations = FusedModuleOperations<typename Level::layer>;
    std::size_t const groups = std::min(Level::groups, inputs);
    for (std::size_t g = 0; g < groups; ++g) {
      sizes.tokens = even_part(inputs, groups, g).size();
      total += first ? Operations::first(sizes, choice) : Operations::above(sizes);
    }
    inputs = groups;
    first = false;
  }
};

} // namespace dchag::bench
