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
  std::size_t channels = 0;                    ///< of the data
  std::vector<std::string> channel_names = {}; ///< of the data; empty if it does not tell
  Crop crop = 20;                              ///< size of the images
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
  bool file_of_each_rank = false;          ///< in a checkpoint; otherwise all ranks write to one file
  bool resume = false;
  std::filesystem::path out = "out";
};

/// What there is to do after the command line was read.
enum class Asked { training, text };

/// Reads the command line of a run on so many ranks. A text that it asks for, such as the help, is left in `text`.
/// Throws: dchag::Error, by the option's name, for what cannot be read, is out of range, or does not fit the others.
Asked parse(int argc, char const* const* argv, int ranks, Options& options, std::string& text);

/// What must be the same on every rank, by the names of the command line.
std::vector<dchag::comm::Setting> settings(Options const& options);

/// Of these, what decides the batches, masks, rates and losses of the steps to come: all but where and how the same is
/// computed, how often it is told, and the data, which are compared by themselves.
std::vector<dchag::comm::Setting> deciding_settings(Options const& options);

} // namespace hyperspectral
