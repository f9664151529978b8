// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause

// Trains a masked autoencoder on hyperspectral cubes, on any number of ranks that divides the groups of its model:
//
//   mpirun -n 2 hyperspectral_mae --data folder/of/cubes --model c0@4
//
// and writes the learning curve and pictures of what it fills in. Without --data it makes landscapes of its own.

#include <dchag/comm/agree.hpp>
#include <dchag/comm/session.hpp>

#include "data/read.hpp"
#include "report.hpp"
#include "resources.hpp"

#include <Kokkos_Core.hpp>

#include <algorithm>
#include <cstdio>

namespace hyperspectral {
namespace {

Dataset load(Options const& options) {
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

int run(int argc, char** argv, dchag::comm::Communicator const& communicator) {
  bool const speaks = communicator.rank() == 0;
  Options options;
  int const asks = dchag::comm::collectively(communicator, [&] { return parse(argc, argv, speaks, options) ? 0 : 1; });
  if (dchag::comm::all_reduce(communicator, asks, dchag::comm::Reduce::max) != 0) return 0;
  dchag::comm::require_same(communicator, "hyperspectral_mae", settings(options));
  if (options.mesh.ranks() == 0) options.mesh = {communicator.size(), 1, 1};
  auto const mesh =
      dchag::comm::collectively(communicator, [&] { return dchag::comm::Mesh(communicator, options.mesh); });
  catch_signals();

  // Every rank reads the same files: what fails on one fails on all.
  auto const data = dchag::comm::collectively(communicator, [&] { return load(options); });
  dchag::comm::require_same(communicator, "hyperspectral_mae", // the files may be a node's own
                            {{"bands of the data", data.channels()}, {"checksum of the data", data.checksum()}});
  options.model.channels = data.channels();
  auto const evaluation = dchag::comm::collectively(communicator, [&] { return make_evaluation(data, options); });
  if (speaks) {
    if (data.is_endless())
      std::printf("data: made-up scenes without end, %zu held out, %zu bands, %zu x %zu pixels\n",
                  data.size(Split::test), data.channels(), options.model.crop.lines, options.model.crop.samples);
    else
      std::printf("data: %zu cubes to train on, %zu held out, %zu bands (%zu constant), crops of %zu x %zu pixels\n",
                  data.size(Split::train), data.size(Split::test), data.channels(), data.constant_bands(),
                  options.model.crop.lines, options.model.crop.samples);
    std::printf("held out, %.0f %% hidden: visible mean %.4f, inverse distance %.4f\n", 100 * options.model.mask_ratio,
                evaluation.visible_mean, evaluation.by_distance);
  }

  std::vector<Curve> curves;
  std::vector<float> prediction;
  for (auto const& name : options.models) {
    restart_peak_resident_memory();
    auto const model = dchag::comm::collectively(communicator, [&] { return make_model(name, options.model, mesh); });
    if (speaks)
      std::printf("%s: %.2f million parameters on this rank of %d (mesh %d x %d x %d)\n", name.c_str(),
                  static_cast<double>(model->parameters()) * 1e-6, communicator.size(), mesh.shape().tensor,
                  mesh.shape().shard, mesh.shape().data);
    curves.push_back(train(*model, name, data, evaluation, options, communicator));
    prediction = model->predict(evaluation.batch, evaluation.visible);
    if (curves.back().stopped) break;
  }
  dchag::comm::collectively(communicator, [&] {
    if (!speaks) return;
    draw_report(options, data, evaluation, curves, prediction);
    print_summary(evaluation, curves);
    std::printf("\nwritten to %s: losses.png, reconstruction.png, spectrum.png, curve_*.csv\n",
                options.out.string().c_str());
  });
  return 0;
}

} // namespace
} // namespace hyperspectral

int main(int argc, char** argv) {
  dchag::comm::Session const session(argc, argv);
  Kokkos::ScopeGuard const kokkos(argc, argv);
  dchag::comm::Communicator const communicator(MPI_COMM_WORLD);
  return dchag::comm::run_main(communicator, [&] { return hyperspectral::run(argc, argv, communicator); });
}
