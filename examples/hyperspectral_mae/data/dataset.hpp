// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "data/baselines.hpp"
#include "data/crop.hpp"
#include "data/cube.hpp"
#include "data/scene.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace hyperspectral {

enum class Split { train, test };

struct SplitOptions {
  double test_fraction = 0.2;
  std::optional<std::size_t> test_count = std::nullopt; // instead of the fraction
  std::uint64_t seed = 0;
};

struct StreamOptions {
  SceneOptions scene;                 // its lines and samples are those of the held-out scenes
  std::size_t test_scenes = 32;       // held out
  std::size_t statistics_scenes = 64; // from which mean and deviation are taken; neither trained on nor held out
};

/// Which batch: the same key gives the same batch on every rank.
struct BatchKey {
  std::uint64_t seed = 0;
  std::uint64_t step = 0;
};

/// Cubes split into a training and a test part, handed out standardised: each band minus its mean over the training
/// pixels, divided by their deviation. A band that is constant there becomes 0.
class Dataset {
public:
  /// Splits whole cubes by chance; both parts keep the given order.
  /// Throws: DataError when the numbers of bands differ or nothing is left to train on.
  Dataset(std::vector<Cube> cubes, SplitOptions const& options);

  /// An endless stream of made-up scenes for training, a fixed set of others for testing.
  explicit Dataset(StreamOptions const& options);

  std::size_t channels() const { return m_mean.size(); }
  /// The cubes of a part; the scenes of an endless stream count as 0.
  std::size_t size(Split split) const { return cubes(split).size(); }
  bool is_endless() const { return m_stream.has_value(); }
  Cube const& cube(Split split, std::size_t i) const;
  std::vector<double> const& wavelengths() const { return m_wavelengths; } // (C) in nm, may be empty
  /// (C), all different: wavelengths or, where the cubes have none, names of bands; empty where they have neither.
  std::vector<std::string> channel_names() const;
  std::vector<double> const& mean() const { return m_mean; }           // (C)
  std::vector<double> const& deviation() const { return m_deviation; } // (C), 0 for constant bands
  std::size_t constant_bands() const;
  /// Of means and deviations: tells other data, not every change.
  double checksum() const;

  /// Steps: for each sample a cube, a place and, with `augment`, one of the eight flips and turns (of an oblong crop
  /// four: quarter turns would not fit), all by chance from (seed, step, sample). Scenes of the stream are fresh and
  /// never augmented, so their sun stays where it is. Shapes: out (B, C, crop's lines, its samples), B from its size.
  /// Throws: DataError when the part is empty, a cube is smaller than the crop, or `out` holds no whole samples.
  void batch(Split split, BatchKey key, Crop crop, bool augment, std::span<float> out) const;

  /// One sample of that batch, for ranks that need only some of them. Shapes: out (C, crop's lines, its samples).
  void sample(Split split, BatchKey key, std::size_t index, Crop crop, bool augment, std::span<float> out) const;

  /// The middle of a cube, as large as whole patches of this edge allow.
  Image whole(Split split, std::size_t i, std::size_t patch_edge) const;

  /// So many pixels in the middle of a cube.
  Image centre(Split split, std::size_t i, Crop crop) const;

private:
  struct Window {
    std::size_t line = 0;
    std::size_t sample = 0;
    std::size_t lines = 0;
    std::size_t samples = 0;
    unsigned symmetry = 0; // bit 0 turns lines into samples, bits 1 and 2 reverse them
  };

  std::vector<Cube> const& cubes(Split split) const { return split == Split::train ? m_train : m_test; }
  void measure(std::vector<Cube> const& training);
  void copy(Cube const& cube, Window const& window, std::span<float> out) const;
  Image middle(Cube const& cube, std::size_t lines, std::size_t samples) const;

  std::vector<Cube> m_train;
  std::vector<Cube> m_test;
  std::optional<StreamOptions> m_stream;
  std::vector<double> m_wavelengths;
  std::vector<std::string> m_band_names;
  std::vector<double> m_mean;
  std::vector<double> m_deviation;
};

/// Reads every cube behind the paths (see list_cubes).
/// Throws: DataError, with both names where two cubes have different numbers of bands; DataMemoryError.
std::vector<Cube> read_cubes(std::vector<std::filesystem::path> const& paths);

} // namespace hyperspectral
