// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/plan/detail/modules.hpp>

/// \file
/// The aggregators of channels/, each on the rank that has most channels, the first.
namespace dchag::plan::detail {

struct AggregatorSizes : ModuleSizes {
  std::size_t channels; ///< C
  std::size_t ranks;    ///< P

  Strategy strategy() const { return how.strategy; }
  Array::Kind of_rank() const { return ranks > 1 ? Array::Kind::distributed : Array::Kind::replicated; }

  std::size_t groups_per_rank() const { return how.groups / ranks; }
  Range group(std::size_t index) const { return even_part(channels, how.groups, index); }
  /// c, of this rank.
  std::size_t own_channels() const {
    if (strategy() == Strategy::groups) return group(groups_per_rank() - 1).end;
    if (strategy() == Strategy::flat || strategy() == Strategy::tensor_parallel) return channels;
    return even_part(channels, ranks, 0).size();
  }
};

// --- parts ----------------------------------------------------------------------------------------------------------

inline Arrays tokenizer_parameters(AggregatorSizes const& a) {
  using Kind = Array::Kind;
  std::size_t const c = a.own_channels(), D = a.features;
  Kind const kind = a.strategy() == Strategy::tensor_parallel && a.ranks > 1 ? Kind::partial
                    : c < a.channels                                         ? Kind::distributed
                                                                             : Kind::replicated;
  return {{c * D * a.pixels, kind}, {c * D, kind}, {c * D, kind}}; // weight, bias, embedding
}

inline std::size_t tokens_activations(AggregatorSizes const& a, Bytes bytes) {
  std::size_t const plan = index_bytes(2 * a.own_channels()); // planes, channels
  return plan + (a.fused() ? 0 : bytes.of(a.own_channels() * a.positions * a.features));
}

/// Of making `c` tokens from their patches, and of the gradients of their weights.
inline std::size_t tokenizer_workspace(AggregatorSizes const& a, Bytes bytes) {
  return bytes.taken(a.own_channels() * a.positions * a.pixels);
}

/// Of what follows the tokens, and of the tokens where they are stored.
inline PassBytes staged_workspace(AggregatorSizes const& a, PassBytes const& after, Bytes bytes) {
  if (a.fused()) return after;
  std::size_t const patches = tokenizer_workspace(a, bytes);
  return {(std::max)(patches, after.forward), bytes.taken(a.own_channels() * a.positions * a.features) + // d_tokens
                                                  (std::max)(patches, after.backward)};
}

// --- D-CHAG's final module, over the tokens of all groups
// -------------------------------------------------------------

/// The final module where its heads are not shared, as one of a tree.
inline ModuleSizes final_sizes(AggregatorSizes const& a) {
  ModuleSizes m = a;
  m.how.layer = a.how.final_module == Final::linear ? Layer::linear : Layer::cross_attention;
  return m;
}

inline Arrays final_parameters(AggregatorSizes const& a) {
  if (a.how.final_module == Final::head_shared) return cross_attention_parameters(a, Array::Kind::replicated, a.ranks);
  return module_parameters(final_sizes(a), a.how.groups, Array::Kind::replicated);
}

inline std::size_t final_activations(AggregatorSizes const& a, Bytes bytes) {
  if (a.how.final_module == Final::head_shared) return shared_activations(a, a.how.groups, bytes, a.ranks);
  return module_activations(final_sizes(a), a.how.groups, bytes);
}

inline PassBytes final_workspace(AggregatorSizes const& a, Bytes bytes) {
  if (a.how.final_module != Final::head_shared)
    return module_workspace(final_sizes(a), a.how.groups, Tokens::stored, bytes);
  auto workspace = shared_workspace(a, a.how.groups, Tokens::stored, bytes, a.ranks);
  workspace.backward += bytes.taken(a.how.groups * a.positions * a.features); // shares of all tokens' gradients
  return workspace;
}

// --- the exact flat aggregation
// ---------------------------------------------------------------------------------------

inline std::size_t exact_flat_activations(AggregatorSizes const& a, Bytes bytes) {
  if (a.fused()) return fused_activations(a, bytes);
  return materialized_activations(a, a.own_channels(), bytes) + bytes.of(2 * a.positions * a.heads); // maximum, sum
}

inline PassBytes materialized_flat_workspace(AggregatorSizes const& a, Bytes bytes) {
  std::size_t const N = a.positions, D = a.features, h = a.heads, token = a.own_channels() * N * D;
  std::size_t const merging =
      a.ranks > 1 ? bytes.taken(N * h, N * h, N * (D + h)) : 0; // own statistics, softmax partials
  std::size_t const shared = (2 * D + (a.how.projection_bias ? 3 : 1)) * D;
  // d_pooled, what is shared; d_tokens, then patches or d_keys, d_values, delta, the query's gradient by rows
  return {(std::max)(tokenizer_workspace(a, bytes), merging),
          bytes.taken(N * D, shared) + bytes.taken(token) +
              (std::max)(tokenizer_workspace(a, bytes), bytes.taken(token, token, N * h, N * D))};
}

inline PassBytes exact_flat_workspace(AggregatorSizes const& a, Bytes bytes) {
  if (!a.fused()) return materialized_flat_workspace(a, bytes);
  std::size_t const N = a.positions, D = a.features, h = a.heads;
  auto const pooling = pooling_workspace(a, a.own_channels(), Tokens::unmade, bytes);
  std::size_t const biased = a.how.projection_bias ? bytes.taken(N * D) : 0;
  std::size_t const merging = a.ranks > 1 ? bytes.taken(N * h, N * (D + h)) : 0; // own maximum, softmax partials
  return {(std::max)({pooling.forward, merging, biased}),
          bytes.taken(N * D, N * h, (D + h) * D) + (std::max)({biased, pooling.backward, bytes.taken(D)})};
}

// --- every strategy
// ---------------------------------------------------------------------------------------------------

/// Slots of gathered tokens: as many on each rank.
inline std::size_t token_slots(AggregatorSizes const& a) {
  return a.ranks * a.own_channels();
}

inline Arrays aggregator_parameters(AggregatorSizes const& a) {
  Arrays all = tokenizer_parameters(a);
  switch (a.strategy()) {
  case Strategy::flat:
  case Strategy::distributed_tokenization:
    append(all, tree_parameters(a, a.channels, Array::Kind::replicated));
    break;
  case Strategy::exact_flat:
    append(all, cross_attention_parameters(a, Array::Kind::replicated));
    break;
  case Strategy::tensor_parallel:
    append(all, cross_attention_parameters(a, Array::Kind::replicated, a.ranks));
    break;
  case Strategy::groups:
    for (std::size_t g = 0; g < a.groups_per_rank(); ++g)
      append(all, tree_parameters(a, a.group(g).size(), a.of_rank()));
    append(all, final_parameters(a));
  }
  return all;
}

inline std::size_t aggregator_activations(AggregatorSizes const& a, Bytes bytes) {
  std::size_t const token = bytes.of(a.positions * a.features); // N D
  switch (a.strategy()) {
  case Strategy::flat:
    return tokens_activations(a, bytes) + tree_activations(a, a.channels, bytes);
  case Strategy::exact_flat:
    return tokens_activations(a, bytes) + exact_flat_activations(a, bytes);
  case Strategy::tensor_parallel:
    return tokens_activations(a, bytes) + shared_activations(a, a.channels, bytes, a.ranks);
  case Strategy::distributed_tokenization: {
    std::size_t const closed_up = a.channels < token_slots(a) ? a.channels : 0; // where slots are empty
    return index_bytes(2 * a.own_channels() + a.channels) + (token_slots(a) + closed_up) * token +
           tree_activations(a, a.channels, bytes);
  }
  case Strategy::groups:
    break;
  }
  std::size_t all = tokens_activations(a, bytes) + index_bytes(a.how.groups) + a.how.groups * token; // gathered
  for (std::size_t g = 0; g < a.groups_per_rank(); ++g) all += tree_activations(a, a.group(g).size(), bytes);
  return all + final_activations(a, bytes);
}

inline PassBytes aggregator_workspace(AggregatorSizes const& a, Bytes bytes) {
  std::size_t const token = a.positions * a.features;
  switch (a.strategy()) {
  case Strategy::flat:
    return staged_workspace(a, tree_workspace(a, a.channels, bytes), bytes);
  case Strategy::exact_flat:
    return exact_flat_workspace(a, bytes);
  case Strategy::tensor_parallel:
    return staged_workspace(a, shared_workspace(a, a.channels, a.first(), bytes, a.ranks), bytes);
  case Strategy::distributed_tokenization: {
    std::size_t const patches = tokenizer_workspace(a, bytes);
    auto workspace = larger(tree_workspace(a, a.channels, bytes), {patches, patches});
    workspace.backward += bytes.taken(a.channels * token); // d_tokens
    return workspace;
  }
  case Strategy::groups:
    break;
  }
  auto workspace =
      larger(staged_workspace(a, tree_workspace(a, a.group(0).size(), bytes), bytes), final_workspace(a, bytes));
  workspace.backward += bytes.taken(a.groups_per_rank() * token); // d_groups
  return workspace;
}

} // namespace dchag::plan::detail
