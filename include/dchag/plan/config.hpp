// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/error.hpp>
#include <dchag/core/number.hpp>
#include <dchag/ops/pooling_plan.hpp>
#include <dchag/parallel/sharding.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace dchag::plan {

/// Who aggregates the channels; P are the ranks of tensor parallelism.
enum class Strategy {
  flat,                    ///< `ChannelAggregator`: every rank, all of them
  exact_flat,              ///< `FlatAggregator`: one cross-attention of C channels over P ranks
  groups,                  ///< `DistributedAggregator`: D-CHAG
  tensor_parallel,         ///< `TensorParallelAggregator`, the baseline
  distributed_tokenization ///< `DistributedTokenization`
};

/// `Fused` or `Materialized`.
enum class Form { fused, materialized };

/// What reduces tokens to one: of a tree's levels, and of the final module, whose heads may be shared (`HeadShared`).
enum class Layer { cross_attention, linear };
enum class Final { cross_attention, linear, head_shared };

/// `Replicated`, `parallel::TensorParallel` or `parallel::SequenceParallel`.
enum class EncoderForm { replicated, tensor_parallel, sequence_parallel };

/// How the channels become one token a position.
struct Aggregation {
  Strategy strategy = Strategy::flat;
  Form form = Form::fused;
  Layer layer = Layer::cross_attention;
  std::size_t level = 0;                       ///< groups of one more level, as `Tree<Layer, level>`; 0 is Tree0
  std::size_t groups = 1;                      ///< G, of D-CHAG
  Final final_module = Final::cross_attention; ///< of D-CHAG
  bool projection_bias = false;
  ops::PoolingChoice pooling = {};
};

/// Ranks along each axis, as `comm::MeshShape`.
struct Mesh {
  std::size_t tensor = 1, shard = 1, data = 1;
  std::size_t ranks() const { return tensor * shard * data; }
};

/// A masked autoencoder in training, by its sizes.
struct Config {
  std::size_t samples; ///< B, of a replica and micro-batch
  std::size_t height;  ///< of the images, in pixels
  std::size_t width;
  std::size_t patch;    ///< edge p, in pixels
  std::size_t channels; ///< C
  std::size_t features; ///< D
  std::size_t heads;    ///< h, of aggregation and encoder
  std::size_t depth;    ///< encoder blocks
  std::size_t mlp_ratio = 4;
  std::size_t decoder_features = 128;
  std::size_t decoder_depth = 2;
  std::size_t decoder_heads = 4;
  double mask_ratio = 0.75; ///< share of the positions that is hidden
  bool dropout = false;     ///< whether anything is dropped
  bool recompute = false;
  Aggregation aggregation = {};
  EncoderForm encoder = EncoderForm::replicated;
  Mesh mesh = {};
  parallel::Sharding sharding = parallel::Sharding::none;
  std::size_t number_bytes = 4; ///< of a float; 8 of a double
  std::size_t threads = 1;      ///< of the host's execution space

  /// L, and those that a sample shows, as `PositionMask::draw` rounds.
  std::size_t positions() const { return height / patch * (width / patch); }
  std::size_t visible() const {
    auto const rounded = std::lround(static_cast<double>(positions()) * (1 - mask_ratio));
    return std::max<std::size_t>(static_cast<std::size_t>(rounded), 1);
  }
};

/// More bytes than a rank of such a run holds, by a factor of up to some thousands. Unlike the exact sum it is right
/// for sizes of any magnitude: below 2^60, 64 bits count every sum.
inline double upper_bound(Config const& c) {
  auto const real = [](std::size_t size) { return static_cast<double>(size); };
  double const patches = real(c.height) / real(c.patch) * (real(c.width) / real(c.patch)); // of a sample
  double const rows = real(c.samples) * patches;
  double const pixels = real(c.channels) * real(c.patch) * real(c.patch); // of a patch
  double const modules = real(c.aggregation.groups) * (1 + real(c.aggregation.level)) + 1;
  double const tokens = real(c.channels) + modules + real(c.mesh.tensor); // of a position, on the way to one
  double const D = real(c.features) + real(c.heads), narrow = real(c.decoder_features) + real(c.decoder_heads);
  double const hidden = real(c.mlp_ratio) + 8, depth = real(c.depth) + 1, decoder_depth = real(c.decoder_depth) + 1;
  double const kept = rows * (hidden * (depth * D + decoder_depth * narrow) + tokens * D + pixels);
  double const weights = hidden * (depth * D * D + decoder_depth * narrow * narrow) + modules * (D * D + tokens * D) +
                         (D + narrow) * (patches + pixels + tokens);
  double const scratch = real(c.threads) * (tokens + patches) * D;
  return 64 * real(c.number_bytes) * (kept + weights + scratch);
}

/// The same, if there is such a model and run.
/// Throws: ShapeError where sizes do not divide, or the bytes cannot be counted; Error where a strategy has no such
/// layer.
inline Config const& checked(Config const& c) {
  auto const multiple = [](char const* what, std::size_t size, char const* of, std::size_t divisor) {
    require(size > 0 && divisor > 0 && size % divisor == 0, "plan: ", what, " is ", size, ", expected a multiple of ",
            of, ", ", divisor);
  };
  std::size_t const P = c.mesh.tensor;
  auto const& a = c.aggregation;
  require(c.samples > 0 && c.channels > 0 && c.threads > 0 && c.mesh.ranks() > 0, "plan: ", c.samples, " samples of ",
          c.channels, " channels with ", c.threads, " threads on ", c.mesh.ranks(), " ranks, expected 1 or more each");
  require(c.number_bytes == 4 || c.number_bytes == 8, "plan: numbers of ", c.number_bytes, " bytes, expected 4 or 8");
  require(math::is_finite(c.mask_ratio) && 0 <= c.mask_ratio && c.mask_ratio < 1, "plan: mask ratio ", c.mask_ratio,
          ", expected 0 <= ratio < 1");
  multiple("the height", c.height, "the patch edge", c.patch);
  multiple("the width", c.width, "the patch edge", c.patch);
  multiple("the features", c.features, "the heads", c.heads);
  multiple("the decoder's features", c.decoder_features, "its heads", c.decoder_heads);
  if (c.encoder != EncoderForm::replicated || a.strategy == Strategy::tensor_parallel ||
      (a.strategy == Strategy::groups && a.final_module == Final::head_shared))
    multiple("the number of heads", c.heads, "the tensor-parallel ranks", P);
  if (c.encoder != EncoderForm::replicated)
    multiple("the number of hidden features", c.mlp_ratio * c.features, "the tensor-parallel ranks", P);
  if (a.strategy == Strategy::groups) {
    multiple("the number of groups", a.groups, "the tensor-parallel ranks", P);
    require(a.groups <= c.channels, "plan: ", a.groups, " groups, expected at most the channels, ", c.channels);
  }
  if (a.strategy == Strategy::exact_flat || a.strategy == Strategy::distributed_tokenization)
    require(P <= c.channels, "plan: ", P, " tensor-parallel ranks, expected at most the channels, ", c.channels);
  require<Error>((a.strategy != Strategy::tensor_parallel && a.strategy != Strategy::exact_flat) ||
                     (a.layer == Layer::cross_attention && a.level == 0),
                 "plan: a shared flat aggregation has a tree, expected one cross-attention");
  double const bound = upper_bound(c);
  require(bound < 0x1p60, "plan: up to ", bound, " bytes on each rank, expected less than 2^60 = ", 0x1p60);
  return c;
}

} // namespace dchag::plan
