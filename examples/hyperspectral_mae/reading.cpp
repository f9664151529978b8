// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "reading.hpp"

#include <dchag/core/error.hpp>

#include "data/read.hpp"

#include <algorithm>

namespace hyperspectral {

Dataset read_data(Options const& options) {
  constexpr std::size_t most_tested = 10; // unless it is said
  auto const tested = [&](std::size_t share) {
    return options.test_count > 0 ? options.test_count : std::min(most_tested, share);
  };
  if (!options.data.empty()) {
    auto cubes = read_cubes(options.data);
    std::size_t const held_out = tested((cubes.size() + 4) / 5);
    dchag::require<dchag::Error>(cubes.size() > held_out, "--data has ", cubes.size(),
                                 " cubes, expected more than the ", held_out,
                                 " held out (--test-count); cut a single scene into tiles");
    for (auto const& cube : cubes) {
      auto const& crop = options.model.crop;
      dchag::require<dchag::Error>(crop.lines <= cube.lines && crop.samples <= cube.samples, "--crop is ",
                                   to_string(crop), ", expected at most the ", cube.lines, " lines x ", cube.samples,
                                   " samples of ", cube.source);
    }
    return Dataset(std::move(cubes), {.test_count = held_out, .seed = options.model.seed});
  }
  // As many pixels as 64 scenes of the default size have, so that large scenes fit in memory.
  auto const statistics_scenes = std::clamp<std::size_t>(64 * 20 * 20 / options.model.crop.pixels(), 4, 64);
  return Dataset({.scene = {.lines = options.model.crop.lines,
                            .samples = options.model.crop.samples,
                            .bands = options.scene_bands,
                            .seed = options.model.seed},
                  .test_scenes = tested(most_tested),
                  .statistics_scenes = statistics_scenes});
}

} // namespace hyperspectral
