// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause

// Trains a masked autoencoder on hyperspectral cubes, on any number of ranks that divides the groups of its model:
//
//   mpirun -n 2 hyperspectral_mae --data folder/of/cubes --model c0@4
//
// and writes the learning curve and pictures of what it fills in. Without --data it makes landscapes of its own.

#include <dchag/comm/session.hpp>

#include "checks.hpp"
#include "progress_state.hpp"
#include "reading.hpp"
#include "report.hpp"
#include "resources.hpp"
#include "stage.hpp"

#include <Kokkos_Core.hpp>

#include <command_line/kokkos_arguments.hpp>
#include <cstdio>
#include <optional>

namespace hyperspectral {
namespace {

using dchag::comm::collectively;
using dchag::comm::Communicator;

/// What the command line says, the same on every rank; none if it asks for a text, which rank 0 prints.
std::optional<Options> agreed_options(int argc, char** argv, Communicator const& communicator) {
  bool const speaks = communicator.rank() == 0;
  Options options;
  std::string text;
  bool const asks =
      collectively(communicator, [&] { return parse(argc, argv, communicator.size(), options, text) == Asked::text; });
  if (dchag::comm::all_reduce(communicator, asks ? 1 : 0, dchag::comm::Reduce::max) != 0) {
    if (speaks) std::fputs(text.c_str(), stdout);
    return std::nullopt;
  }
  dchag::comm::require_same(communicator, "hyperspectral_mae", settings(options));
  collectively(communicator, [&] { // rank 0 writes there, hours later perhaps
    if (speaks) make_folder(options.out);
  });
  return options;
}

int run(Options options, Communicator const& communicator) {
  bool const speaks = communicator.rank() == 0;
  dchag::comm::Mesh const mesh(communicator, options.mesh);
  catch_signals();

  // Every rank reads the same files.
  auto const data = local_stage(communicator, "reading the data", [&] { return read_data(options); });
  // They may be a node's own.
  dchag::comm::require_same(communicator, "hyperspectral_mae", "bands of the data", data.channels());
  double const checksum = dchag::comm::from_rank(communicator, 0, data.checksum());
  collectively(communicator, [&] {
    dchag::require<dchag::Error>(same_checksum(data.checksum(), checksum), "checksum of the data is ", data.checksum(),
                                 ", expected ", checksum, " as on rank 0");
  });
  options.model.channels = data.channels();
  options.model.channel_names = data.channel_names();
  collectively(communicator, [&] { check_models(options, data.channels(), data.size(Split::test)); });
  auto const evaluation =
      local_stage(communicator, "cutting out what is tested", [&] { return make_evaluation(data, options); });
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
    auto const model = stage(communicator, "building " + name, [&] { return make_model(name, options.model, mesh); });
    if (speaks)
      std::printf("%s: %.2f million parameters on this rank of %d (mesh %d x %d x %d)\n", name.c_str(),
                  static_cast<double>(model->parameters()) * 1e-6, communicator.size(), mesh.shape().tensor,
                  mesh.shape().shard, mesh.shape().data);
    stage(communicator, "training " + name, [&] {
      curves.push_back(train(*model, name, data, evaluation, options, communicator));
      prediction = model->predict(evaluation.batch, evaluation.visible);
    });
    if (curves.back().stopped) break;
  }
  local_stage(communicator, "drawing", [&] {
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
  return dchag::comm::run_main(argc, argv, [&] { // between MPI's beginning and end
    command_line::KokkosArguments for_kokkos(argc, argv);
    std::optional<Kokkos::ScopeGuard> kokkos; // begins behind the options, and ends after all Views
    dchag::comm::Communicator const communicator(MPI_COMM_WORLD);
    return dchag::comm::run_main(communicator, [&] {
      if (for_kokkos.ask_for_help()) { // once, and nothing else
        if (communicator.rank() == 0) kokkos.emplace(for_kokkos.argc, for_kokkos.argv());
        return 0;
      }
      auto const options = hyperspectral::agreed_options(argc, argv, communicator);
      if (!options) return 0;
      kokkos.emplace(for_kokkos.argc, for_kokkos.argv());
      return hyperspectral::run(*options, communicator);
    });
  });
}
