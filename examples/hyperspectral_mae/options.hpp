// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/comm/mesh.hpp>
#include <dchag/parallel/sharding.hpp>

#include "data/crop.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace hyperspectral {

enum class Precision { single, double_ };

/// What a model is built from, besides the data it will see.
struct ModelSettings {
  std::size_t channels = 0; ///< of the data
  Crop crop = 20;           ///< size of the images
  std::size_t patch = 2;
  std::size_t width = 64;
  std::size_t heads = 4;
  std::size_t depth = 4;
  std::size_t decoder_width = 64;
  std::size_t decoder_depth = 2;
  std::size_t decoder_heads = 4;
  double mask_ratio = 0.75;
  bool loss_everywhere = false;
  double weight_decay = 0.05;
  double beta1 = 0.9;
  double beta2 = 0.95;
  double clip = 1.0;
  double dropout = 0;
  bool recompute = false; ///< activations of encoder blocks are made again instead of kept
  dchag::parallel::Sharding sharding = dchag::parallel::Sharding::none;
  bool materialized = false; ///< the aggregation in the paper's form instead of the fused one
  std::uint64_t seed = 0;
  Precision precision = Precision::single;
};

/// What the command line says.
struct Options {
  std::vector<std::filesystem::path> data; ///< files, folders or lists; none: made-up scenes
  std::size_t scene_bands = 64;
  std::size_t test_count = 0; ///< 0: a fifth of the cubes, at most 10
  std::vector<std::string> models{"c0@4"};
  ModelSettings model;
  std::size_t batch = 16;
  std::size_t steps = 3000;
  std::size_t warmup = 100; ///< or a tenth of the steps, if that is less
  double learning_rate = 2e-3;
  bool augment = true;
  std::size_t evaluations = 25;
  dchag::comm::MeshShape mesh = {0, 0, 0}; ///< zeros: all ranks share the model
  std::size_t checkpoint_every = 0;        ///< steps; 0: only at the end, or when a signal ends the run
  bool resume = false;
  std::filesystem::path out = "out";
};

/// Reads the command line.
/// Returns false if it asks for help only, which is then printed where `print` is set.
/// Throws: dchag::Error for what cannot be read or is out of range.
bool parse(int argc, char** argv, bool print, Options& options);

/// What must be the same on every rank, by the names of the command line.
std::vector<dchag::comm::Setting> settings(Options const& options);

} // namespace hyperspectral
