// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/plan/detail/aggregator.hpp>
#include <dchag/plan/detail/encoder.hpp>

#include <iomanip>
#include <ostream>

namespace dchag::plan {

/// Bytes that a rank holds in a training step, by what they are for.
struct Memory {
  std::size_t parameters = 0;
  std::size_t gradients = 0;
  std::size_t optimizer = 0;   ///< the two moments of AdamW
  std::size_t activations = 0; ///< what the passes keep: all contexts, and the mask
  std::size_t workspace = 0;   ///< scratch, at its peak
  std::size_t buffers = 0;     ///< in which sharded units become whole, and gradients are summed

  std::size_t total() const { return parameters + gradients + optimizer + activations + workspace + buffers; }
};

namespace detail {

/// The parts of `MaskedAutoencoder` on the rank that holds most.
struct Parts {
  Bytes bytes;
  AggregatorSizes aggregator;
  EncoderSizes encoder, decoder;
  std::size_t outputs; ///< C s, of the head

  std::size_t visible_rows() const { return encoder.all_rows(); } ///< B kept
  std::size_t all_rows() const { return decoder.all_rows(); }     ///< B L
};

inline Parts parts_of(Config const& c) {
  std::size_t const L = c.positions(), s = c.patch * c.patch;
  std::size_t const encoder_ranks = c.encoder == EncoderForm::replicated ? 1 : c.mesh.tensor;
  ModuleSizes const module{c.samples * c.visible(), s, c.features, c.heads, c.aggregation, c.threads};
  EncoderSizes const encoder{.samples = c.samples,
                             .tokens = c.visible(),
                             .positions = L,
                             .features = c.features,
                             .heads = c.heads,
                             .hidden = c.mlp_ratio * c.features,
                             .depth = c.depth,
                             .dropout = c.dropout,
                             .recompute = c.recompute,
                             .form = c.encoder,
                             .ranks = encoder_ranks};
  EncoderSizes const decoder{.samples = c.samples,
                             .tokens = L,
                             .positions = L,
                             .features = c.decoder_features,
                             .heads = c.decoder_heads,
                             .hidden = c.mlp_ratio * c.decoder_features,
                             .depth = c.decoder_depth,
                             .dropout = c.dropout,
                             .recompute = c.recompute};
  return {{c.number_bytes}, {module, c.channels, c.mesh.tensor}, encoder, decoder, c.channels * s};
}

/// Those of each unit, the last those of no unit.
inline std::vector<Arrays> units_of(Parts const& p) {
  std::size_t const D = p.encoder.features, narrow = p.decoder.features;
  std::vector<Arrays> units{aggregator_parameters(p.aggregator)};
  units.insert(units.end(), p.encoder.depth, block_parameters(p.encoder));
  units.insert(units.end(), p.decoder.depth, block_parameters(p.decoder));
  units.push_back({{narrow * p.outputs}, {p.outputs}}); // head
  Arrays rest = encoder_rest(p.encoder);
  append(rest, {{D * narrow}, {narrow}, {narrow}}); // decoder.in, mask token
  append(rest, encoder_rest(p.decoder));
  units.push_back(rest);
  return units;
}

inline std::size_t mask_activations(Parts const& p) {
  return index_bytes(p.visible_rows() + 2 * p.all_rows()) + p.bytes.of(p.all_rows()); // visible, source, all; weight
}

inline std::size_t model_activations(Parts const& p) {
  std::size_t const tokens = 2 * p.visible_rows() * p.encoder.features;          // fused, latent
  std::size_t const predicted = p.all_rows() * (p.decoder.features + p.outputs); // decoded, prediction
  return p.bytes.of(tokens + predicted) + mask_activations(p) + aggregator_activations(p.aggregator, p.bytes) +
         encoder_activations(p.encoder, p.bytes) + encoder_activations(p.decoder, p.bytes);
}

inline PassBytes model_workspace(Parts const& p) {
  auto parts = larger(aggregator_workspace(p.aggregator, p.bytes),
                      larger(encoder_workspace(p.encoder, p.bytes), encoder_workspace(p.decoder, p.bytes)));
  std::size_t const narrow = p.bytes.taken(p.visible_rows() * p.decoder.features);
  std::size_t const decoded = p.bytes.taken(p.all_rows() * p.decoder.features); // filled; d_decoded
  std::size_t const d_prediction = p.bytes.taken(p.all_rows() * p.outputs);
  std::size_t const d_latent = p.bytes.taken(p.visible_rows() * p.encoder.features);
  parts.forward += narrow + decoded;
  parts.backward += narrow + decoded + d_prediction + d_latent;
  return parts;
}

} // namespace detail

/// What a rank holds in a steady training step of a `MaskedAutoencoder` with `parallel::DataParallel` and `AdamW`, on a
/// host: predicted from sizes, nothing is allocated. Where ranks differ, of the rank that has most.
///
/// Not in it: the images, which are the caller's; host vectors; what MPI and Kokkos hold of their own; and the whole
/// model until `DataParallel` has made shards of it, unless it is `deferred`. On a device all is the same but the
/// workspace of the fused forms, which is bounded by a budget there, and host memory through which messages may go.
/// Throws: ShapeError, Error; see `checked`.
inline Memory memory(Config const& config) {
  auto const parts = detail::parts_of(checked(config));
  auto const rest = detail::at_rest(detail::units_of(parts), config.sharding, config.mesh.shard, parts.bytes);
  auto const workspace = detail::model_workspace(parts);
  return {.parameters = rest.values,
          .gradients = rest.values,
          .optimizer = rest.moments,
          .activations = detail::model_activations(parts),
          .workspace = (std::max)(workspace.forward, workspace.backward) + scratch_alignment,
          .buffers = rest.buffers};
}

/// A table of bytes, by name.
inline std::ostream& operator<<(std::ostream& out, Memory const& m) {
  auto const row = [&](char const* name, std::size_t bytes) {
    auto const share = 100 * static_cast<double>(bytes) / static_cast<double>(std::max<std::size_t>(m.total(), 1));
    out << std::left << std::setw(12) << name << std::right << std::setw(18) << bytes << std::fixed
        << std::setprecision(3) << std::setw(12) << static_cast<double>(bytes) / (1 << 30) << std::setprecision(1)
        << std::setw(8) << share << '\n';
  };
  auto const flags = out.flags();
  auto const precision = out.precision();
  out << "                         bytes         GiB       %\n";
  row("parameters", m.parameters);
  row("gradients", m.gradients);
  row("optimizer", m.optimizer);
  row("activations", m.activations);
  row("workspace", m.workspace);
  row("buffers", m.buffers);
  row("total", m.total());
  out.flags(flags);
  out.precision(precision);
  return out;
}

} // namespace dchag::plan
