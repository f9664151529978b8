// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/comm/mesh.hpp>
#include <dchag/train/checkpoint.hpp>
#include <dchag/train/clipping.hpp>

#include "options.hpp"

#include <memory>
#include <span>

namespace hyperspectral {

/// A masked autoencoder in training, whatever aggregates its channels, computes in and runs on.
///
/// Shapes: batches are (B, C, H, W) with all samples and channels, the same on every rank; each replica trains on its
/// share of the samples.
/// Collective: all members but `parameters`.
class Model {
public:
  using Visible = std::vector<std::vector<std::size_t>>; ///< positions of each sample, ascending

  struct Step {
    double loss;
    double gradient_norm; ///< before clipping
  };

  virtual ~Model() = default;

  /// One step of AdamW under the mask number `draw`. If loss or gradients are not finite, the parameters stay. Loss and
  /// norm are the same on all ranks, bit for bit, and the rate has to be.
  virtual Step train(std::span<float const> batch, std::uint64_t draw, double learning_rate) = 0;

  /// The loss over the hidden positions, as rank 0 computes it.
  virtual double evaluate(std::span<float const> batch, Visible const& visible) = 0;

  /// (B, C, H, W) as the decoder makes it, visible positions included.
  virtual std::vector<float> predict(std::span<float const> batch, Visible const& visible) = 0;

  /// What has to be kept to go on later.
  virtual dchag::Checkpoint checkpoint(dchag::Metadata metadata) = 0;

  /// Numbers that this rank learns, and norms of what it holds by name.
  virtual std::size_t parameters() = 0;
  virtual std::vector<dchag::ParameterNorm> norms() = 0;
};

/// Builds the model of a name: "flat", "tensor", "tokens", or the tree of each group and the number of groups, as in
/// "c4@2"; in the fused form or, if the settings say so, the materialized one. The ranks of `mesh.tensor()` share it.
/// Keeps a reference to the mesh. What does not fit is refused before, by `check_models`.
/// Collective: all ranks of the mesh. Throws: dchag::Error; on one rank alone if it has not the memory.
std::unique_ptr<Model> make_model(std::string const& name, ModelSettings const& settings,
                                  dchag::comm::Mesh const& mesh);

/// Which positions of each sample mask number `draw` shows.
Model::Visible draw_mask(std::size_t samples, std::size_t positions, double ratio, std::uint64_t seed,
                         std::uint64_t draw);

} // namespace hyperspectral
