// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/range.hpp>
#include <dchag/ops/absorbed_pooling.hpp>
#include <dchag/ops/fused_pooling.hpp>
#include <dchag/ops/fused_sum.hpp>
#include <dchag/plan/config.hpp>
#include <dchag/plan/detail/at_rest.hpp>

/// \file
/// The modules that reduce tokens to one, and trees of them.
namespace dchag::plan::detail {

/// Whether a module reads tokens from memory or has its own made where it uses them.
enum class Tokens { stored, unmade };

struct ModuleSizes {
  std::size_t positions;       ///< N
  std::size_t pixels;          ///< s
  std::size_t features, heads; ///< D, h
  Aggregation how;
  std::size_t threads;

  bool fused() const { return how.form == Form::fused; }
  /// What the first module reads: tokens that were sent are stored.
  Tokens first() const {
    return fused() && how.strategy != Strategy::distributed_tokenization ? Tokens::unmade : Tokens::stored;
  }
};

// --- cross-attention ------------------------------------------------------------------------------------------------

/// `ranks` share the heads.
inline Arrays cross_attention_parameters(ModuleSizes const& m, Array::Kind kind, std::size_t ranks = 1) {
  using Kind = Array::Kind;
  std::size_t const D = m.features, own = D / ranks;
  Kind const cut = ranks > 1 ? Kind::distributed : kind;
  Arrays all{{D, ranks > 1 ? Kind::partial : kind}}; // query
  for (int projection = 0; projection < 3; ++projection) {
    all.push_back({own * D, cut});
    if (m.how.projection_bias) all.push_back({own, cut});
  }
  append(all, {{D * own, cut}, {D, kind}}); // out
  return all;
}

inline std::size_t fused_activations(ModuleSizes const& m, Bytes bytes, std::size_t ranks = 1) {
  std::size_t const V = m.features / ranks, h = m.heads / ranks;
  return bytes.of(V + h * m.features + m.positions * (V + 2 * h)); // query, absorbed, pooled with maximum and sum
}

inline PassBytes pooling_workspace(ModuleSizes const& m, std::size_t inputs, Tokens tokens, Bytes bytes,
                                   std::size_t ranks = 1) {
  using Host = Kokkos::DefaultHostExecutionSpace;
  auto const of = [&]<class T>(T) {
    if (tokens == Tokens::stored)
      return ops::absorbed_pooling_workspace<Host, T>(m.positions, inputs, m.features, m.heads / ranks);
    return ops::fused_pooling_workspace<T>(
        m.threads, {m.positions, inputs, m.pixels, m.features, m.heads / ranks, m.features / ranks}, m.how.pooling);
  };
  return bytes.number == 8 ? of(double()) : of(float());
}

inline PassBytes fused_workspace(ModuleSizes const& m, std::size_t inputs, Tokens tokens, Bytes bytes,
                                 std::size_t ranks = 1) {
  std::size_t const N = m.positions, D = m.features, V = D / ranks, h = m.heads / ranks;
  auto const pooling = pooling_workspace(m, inputs, tokens, bytes, ranks);
  std::size_t const biased = m.how.projection_bias ? bytes.taken(N * V) : 0;
  return {(std::max)(pooling.forward, biased),
          bytes.taken(N * V, N * h, h * D) + (std::max)({biased, pooling.backward, bytes.taken(V)})};
}

inline std::size_t materialized_activations(ModuleSizes const& m, std::size_t inputs, Bytes bytes,
                                            std::size_t ranks = 1) {
  std::size_t const N = m.positions, D = m.features / ranks, h = m.heads / ranks;
  return bytes.of(2 * inputs * N * D + N * h * inputs + N * D + D); // keys, values, weights, pooled, query
}

inline PassBytes materialized_workspace(ModuleSizes const& m, std::size_t inputs, Bytes bytes, std::size_t ranks = 1) {
  std::size_t const N = m.positions, D = m.features / ranks, h = m.heads / ranks;
  // d_pooled, d_keys, d_values, delta, the query's gradient by rows and in all
  return {0, bytes.taken(N * D, inputs * N * D, inputs * N * D, N * h, N * D, D)};
}

/// In either form, with the heads shared by so many ranks.
inline std::size_t shared_activations(ModuleSizes const& m, std::size_t inputs, Bytes bytes, std::size_t ranks) {
  return m.fused() ? fused_activations(m, bytes, ranks) : materialized_activations(m, inputs, bytes, ranks);
}
inline PassBytes shared_workspace(ModuleSizes const& m, std::size_t inputs, Tokens tokens, Bytes bytes,
                                  std::size_t ranks) {
  return m.fused() ? fused_workspace(m, inputs, tokens, bytes, ranks) : materialized_workspace(m, inputs, bytes, ranks);
}

// --- any module -----------------------------------------------------------------------------------------------------

inline Arrays module_parameters(ModuleSizes const& m, std::size_t inputs, Array::Kind kind) {
  if (m.how.layer == Layer::linear) return {{inputs, kind}, {1, kind}};
  return cross_attention_parameters(m, kind);
}

inline std::size_t module_activations(ModuleSizes const& m, std::size_t inputs, Bytes bytes) {
  if (m.how.layer == Layer::linear) return 0;
  return m.fused() ? fused_activations(m, bytes) : materialized_activations(m, inputs, bytes);
}

inline PassBytes module_workspace(ModuleSizes const& m, std::size_t inputs, Tokens tokens, Bytes bytes) {
  if (m.how.layer == Layer::cross_attention)
    return m.fused() ? fused_workspace(m, inputs, tokens, bytes) : materialized_workspace(m, inputs, bytes);
  if (tokens == Tokens::stored) return {};
  return bytes.number == 8 ? ops::fused_sum_workspace<double>(m.threads, m.positions, inputs, m.pixels, m.features)
                           : ops::fused_sum_workspace<float>(m.threads, m.positions, inputs, m.pixels, m.features);
}

// --- a tree of one level or two -------------------------------------------------------------------------------------

/// Groups of the level below the root; 0 of Tree0.
inline std::size_t level_groups(ModuleSizes const& m, std::size_t inputs) {
  return (std::min)(m.how.level, inputs);
}

inline Arrays tree_parameters(ModuleSizes const& m, std::size_t inputs, Array::Kind kind) {
  std::size_t const groups = level_groups(m, inputs);
  if (groups == 0) return module_parameters(m, inputs, kind);
  Arrays all;
  for (std::size_t i = 0; i < groups; ++i) append(all, module_parameters(m, even_part(inputs, groups, i).size(), kind));
  append(all, module_parameters(m, groups, kind));
  return all;
}

inline std::size_t tree_activations(ModuleSizes const& m, std::size_t inputs, Bytes bytes) {
  std::size_t const groups = level_groups(m, inputs);
  if (groups == 0) return module_activations(m, inputs, bytes) + index_bytes(inputs);
  std::size_t all = index_bytes(inputs + groups) + bytes.of(groups * m.positions * m.features); // what leaves the level
  for (std::size_t i = 0; i < groups; ++i) all += module_activations(m, even_part(inputs, groups, i).size(), bytes);
  return all + module_activations(m, groups, bytes);
}

inline PassBytes tree_workspace(ModuleSizes const& m, std::size_t inputs, Bytes bytes) {
  std::size_t const groups = level_groups(m, inputs);
  if (groups == 0) return module_workspace(m, inputs, m.first(), bytes);
  auto both = larger(module_workspace(m, even_part(inputs, groups, 0).size(), m.first(), bytes),
                     module_workspace(m, groups, Tokens::stored, bytes));
  both.backward += bytes.taken(groups * m.positions * m.features); // gradients of what leaves the level
  return both;
}

} // namespace dchag::plan::detail
