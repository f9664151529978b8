// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/range.hpp>
#include <dchag/plan/config.hpp>
#include <dchag/plan/detail/at_rest.hpp>

/// \file
/// An encoder on one rank. The blocks are `layers::EncoderBlock`, or `parallel::EncoderBlock` where ranks share them;
/// each function follows what its layer reserves or takes.
namespace dchag::plan::detail {

struct EncoderSizes {
  std::size_t samples, tokens; ///< B, and those of each
  std::size_t positions;       ///< L, of a whole image
  std::size_t features, heads; ///< D, h
  std::size_t hidden;          ///< of the MLP
  std::size_t depth;
  bool dropout, recompute;
  EncoderForm form = EncoderForm::replicated;
  std::size_t ranks = 1; ///< that share it

  std::size_t all_rows() const { return samples * tokens; }
  bool cuts_rows() const { return form == EncoderForm::sequence_parallel; }
  /// At hand between the products; the first rank has most.
  std::size_t rows() const { return cuts_rows() ? even_part(all_rows(), ranks, 0).size() : all_rows(); }

  Array::Kind whole() const { return cuts_rows() ? Array::Kind::partial : Array::Kind::replicated; }
  Array::Kind cut() const { return ranks > 1 ? Array::Kind::distributed : Array::Kind::replicated; }
};

inline Arrays norm_parameters(EncoderSizes const& e) {
  return {{e.features, e.whole()}, {e.features, e.whole()}};
}

inline Arrays block_parameters(EncoderSizes const& e) {
  std::size_t const D = e.features, own = e.features / e.ranks, hidden = e.hidden / e.ranks;
  Arrays all = norm_parameters(e);
  append(all, {{3 * own * D, e.cut()}, {3 * own, e.cut()}, {D * own, e.cut()}, {D, e.whole()}}); // qkv, out
  append(all, norm_parameters(e));
  append(all, {{hidden * D, e.cut()}, {hidden, e.cut()}, {D * hidden, e.cut()}, {D, e.whole()}}); // in, out
  return all;
}

/// Those of no unit: position table and last norm.
inline Arrays encoder_rest(EncoderSizes const& e) {
  Arrays all{{e.positions * e.features, e.whole()}};
  append(all, norm_parameters(e));
  return all;
}

inline std::size_t attention_activations(EncoderSizes const& e, Bytes bytes) {
  return bytes.of(e.all_rows() * (4 * e.features + e.heads) / e.ranks); // qkv, mixed, log_sums
}
inline std::size_t attention_backward_workspace(EncoderSizes const& e, Bytes bytes) {
  std::size_t const N = e.all_rows(), own = e.features / e.ranks;
  return bytes.taken(N * own, 3 * N * own, N * e.heads / e.ranks); // d_mixed, d_qkv, delta
}

inline std::size_t mlp_activations(EncoderSizes const& e, Bytes bytes) {
  return bytes.of(e.all_rows() * e.hidden / e.ranks);
}
inline PassBytes mlp_workspace(EncoderSizes const& e, Bytes bytes) {
  std::size_t const hidden = bytes.taken(e.all_rows() * e.hidden / e.ranks);
  return {hidden, 2 * hidden}; // the activation; and d_hidden
}

inline std::size_t block_activations(EncoderSizes const& e, Bytes bytes) {
  std::size_t const norms = 2 * bytes.of(2 * e.rows());           // mean and deviation
  std::size_t const states = 3 * bytes.of(e.rows() * e.features); // normed_1, middle, normed_2
  return norms + states + attention_activations(e, bytes) + mlp_activations(e, bytes);
}

/// What gathering rows and scattering their sum takes around a branch: a share of the result; backward that of the
/// input. One rank gathers nothing.
inline PassBytes shares_workspace(EncoderSizes const& e, Bytes bytes) {
  if (!e.cuts_rows()) return {};
  std::size_t const all = bytes.taken(e.all_rows() * e.features);
  return {e.ranks > 1 ? 2 * all : all, e.ranks > 1 ? 3 * all : all};
}

inline PassBytes block_workspace(EncoderSizes const& e, Bytes bytes) {
  auto const shares = shares_workspace(e, bytes);
  auto const mlp = mlp_workspace(e, bytes);
  std::size_t const rows = bytes.taken(e.rows() * e.features);
  std::size_t const dropped = e.dropout ? rows : 0; // d_mlp; then d_attention as well
  std::size_t const attention = dropped + attention_backward_workspace(e, bytes);
  return {shares.forward + mlp.forward,
          2 * rows + dropped + shares.backward + (std::max)(mlp.backward, attention)}; // d_branch, d_middle
}

inline std::size_t encoder_activations(EncoderSizes const& e, Bytes bytes) {
  std::size_t const blocks = e.recompute ? std::min<std::size_t>(e.depth, 1) : e.depth;
  std::size_t const state = bytes.of(e.rows() * e.features);
  std::size_t const norm = bytes.of(2 * e.rows());
  return (e.depth + 1) * state + blocks * block_activations(e, bytes) + norm;
}

/// Blocks that are made again write what leaves them to scratch.
inline PassBytes encoder_workspace(EncoderSizes const& e, Bytes bytes) {
  if (e.depth == 0) return {};
  auto const block = block_workspace(e, bytes);
  if (!e.recompute || e.depth == 1) return block;
  return {block.forward, (std::max)(block.backward, bytes.taken(e.rows() * e.features) + block.forward)};
}

} // namespace dchag::plan::detail
