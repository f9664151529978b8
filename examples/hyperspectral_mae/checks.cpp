// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "checks.hpp"

#include <dchag/plan/memory.hpp>

#include "model_name.hpp"
#include "pictures/whole_file.hpp"
#include "resources.hpp"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <unistd.h>

namespace hyperspectral {
namespace {

namespace plan = dchag::plan;

template <class... Parts>
void demand(bool condition, Parts const&... parts) {
  dchag::require<dchag::Error>(condition, parts...);
}

void check_grid(ModelSettings const& model) {
  auto const crop = to_string(model.crop);
  demand(model.crop.lines % model.patch == 0 && model.crop.samples % model.patch == 0, "--crop is ", crop,
         ", expected a multiple of --patch ", model.patch);
  // As PositionMask rounds, which shows one position in any case.
  std::size_t const positions = model.crop.patches(model.patch);
  auto const visible = std::llround(static_cast<double>(positions) * (1 - model.mask_ratio));
  demand(visible > 0 && static_cast<std::size_t>(visible) < positions, "--mask is ", model.mask_ratio, " and hides ",
         static_cast<long long>(positions) - visible, " of the ", positions, " positions of --crop ", crop,
         " with --patch ", model.patch, ", expected at least 1 hidden and 1 visible");
}

void check_ranks(Options const& options, int ranks) {
  auto const& mesh = options.mesh;
  auto const text = dchag::concat(mesh.tensor, 'x', mesh.shard, 'x', mesh.data);
  demand(mesh.ranks() == ranks, "--mesh is ", text, " for ", mesh.ranks(), " ranks, expected a product of the ", ranks,
         " that run");
  auto const replicas = static_cast<std::size_t>(mesh.shard) * static_cast<std::size_t>(mesh.data);
  demand(options.batch % replicas == 0, "--batch is ", options.batch, ", expected a multiple of the replicas ",
         replicas, " of --mesh ", text);
  bool const shards = options.model.sharding != dchag::parallel::Sharding::none;
  demand(!shards || mesh.shard > 1, "--sharding divides nothing with --mesh ", text,
         ", expected a second number above 1, or none");
}

/// What of a model's name has to fit heads and ranks.
void check_name(std::string const& text, Options const& options) {
  auto const name = *read_model_name(text);
  auto const ranks = static_cast<std::size_t>(options.mesh.tensor);
  if (name.has_groups())
    demand(name.groups % ranks == 0, "--model ", text, " has ", name.groups, " groups, expected a multiple of the ",
           ranks, " ranks that share a model");
  if (name.kind == ModelName::tensor)
    demand(options.model.heads % ranks == 0, "--model ", text, " divides --heads ", options.model.heads,
           ", expected a multiple of the ", ranks, " ranks that share a model");
}

plan::Config plan_of(ModelName const& name, Options const& options, std::size_t channels, std::size_t samples) {
  auto const& model = options.model;
  auto const axis = [](int ranks) { return static_cast<std::size_t>(ranks); };
  bool const linear = name.kind == ModelName::linear;
  return {.samples = samples,
          .height = model.crop.lines,
          .width = model.crop.samples,
          .patch = model.patch,
          .channels = channels,
          .features = model.width,
          .heads = model.heads,
          .depth = model.depth,
          .decoder_features = model.decoder_width,
          .decoder_depth = model.decoder_depth,
          .decoder_heads = model.decoder_heads,
          .mask_ratio = model.mask_ratio,
          .dropout = model.dropout > 0,
          .recompute = model.recompute,
          .aggregation = {.strategy = name.kind == ModelName::flat     ? plan::Strategy::exact_flat
                                      : name.kind == ModelName::tensor ? plan::Strategy::tensor_parallel
                                      : name.kind == ModelName::tokens ? plan::Strategy::distributed_tokenization
                                                                       : plan::Strategy::groups,
                          .form = model.materialized ? plan::Form::materialized : plan::Form::fused,
                          .layer = linear ? plan::Layer::linear : plan::Layer::cross_attention,
                          .level = name.fan_out,
                          .groups = name.groups},
          .encoder = model.heads % axis(options.mesh.tensor) == 0 ? plan::EncoderForm::tensor_parallel
                                                                  : plan::EncoderForm::replicated,
          .mesh = {axis(options.mesh.tensor), axis(options.mesh.shard), axis(options.mesh.data)},
          .sharding = model.sharding,
          .number_bytes = model.precision == Precision::single ? sizeof(float) : sizeof(double)};
}

std::string gibibytes(double bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g GiB", bytes * 0x1p-30);
  return text;
}

/// What the cubes that are tested and a batch take on the host, and what the model and its passes take.
void check_memory(std::string const& text, Options const& options, std::size_t channels, std::size_t tested) {
  auto const memory = physical_memory();
  if (!memory) return;
  auto const& model = options.model;
  auto const pixels = static_cast<double>(channels) * static_cast<double>(model.crop.pixels()); // of a sample
  auto const images = sizeof(float) * pixels * (3 * static_cast<double>(tested) + static_cast<double>(options.batch));
  auto const replicas = static_cast<std::size_t>(options.mesh.shard) * static_cast<std::size_t>(options.mesh.data);
  auto need = images;
  auto const refuse_above = [&](double most) {
    demand(need <= most, "--model ", text, ": each rank needs ", gibibytes(need), " for --crop ", to_string(model.crop),
           ", ", channels, " bands, --width ", model.width, ", --batch ", options.batch, " and ", tested,
           " cubes that are tested at once (--test-count), expected at most the ", gibibytes(most), " of this machine");
  };
  refuse_above(static_cast<double>(*memory));
  if constexpr (!std::is_same_v<Kokkos::DefaultExecutionSpace::memory_space, Kokkos::HostSpace>) return;
  auto const train = plan_of(*read_model_name(text), options, channels, options.batch / replicas);
  auto const test = plan_of(*read_model_name(text), options, channels, tested);
  need += std::max(plan::upper_bound(train), plan::upper_bound(test)) < 0x1p60 // so that 64 bits count it
              ? static_cast<double>(std::max(plan::memory(train).total(), plan::memory(test).total()))
              : 0x1p60;
  refuse_above(static_cast<double>(*memory));
}

} // namespace

void check_options(Options const& options, int ranks) {
  auto const& model = options.model;
  check_grid(model);
  demand(model.width % model.heads == 0, "--width is ", model.width, ", expected a multiple of --heads ", model.heads);
  demand(model.decoder_width % model.decoder_heads == 0, "--decoder-width is ", model.decoder_width,
         ", expected a multiple of --decoder-heads ", model.decoder_heads);
  demand(options.warmup < options.steps, "--warmup is ", options.warmup, ", expected fewer than --steps ",
         options.steps);
  check_ranks(options, ranks);
  for (auto const& name : options.models) {
    check_name(name, options);
    demand(std::ranges::count(options.models, name) == 1, "--model names ", name,
           " twice, expected each model once: its curve and checkpoints have its name");
  }
  if (!options.data.empty()) return;
  constexpr std::size_t most_tested = 10'000; // made as they are asked for, and tested again and again
  demand(options.test_count <= most_tested, "--test-count is ", options.test_count, ", expected at most ", most_tested,
         " made-up scenes: each of the --evaluations, ", options.evaluations, ", goes through all of them");
  check_models(options, options.scene_bands, std::max<std::size_t>(options.test_count, 1));
}

void check_models(Options const& options, std::size_t channels, std::size_t tested) {
  auto const ranks = static_cast<std::size_t>(options.mesh.tensor);
  for (auto const& text : options.models) {
    auto const name = *read_model_name(text);
    if (name.has_groups())
      demand(name.groups <= channels, "--model ", text, " has ", name.groups,
             " groups, expected at most the bands of the data, ", channels);
    else
      demand(name.kind == ModelName::tensor || ranks <= channels, "--model ", text, " is shared by ", ranks,
             " ranks, expected at most the bands of the data, ", channels);
    check_memory(text, options, channels, tested);
  }
}

void make_folder(std::filesystem::path const& out) {
  std::error_code error(make_folders(out), std::generic_category());
  bool const is_folder = !error && std::filesystem::is_directory(out, error);
  demand(is_folder, "--out is '", out.string(),
         "', which cannot be made a folder: ", error ? error.message() : "there is a file of this name");
  bool const is_writable = ::access(out.c_str(), W_OK | X_OK) == 0;
  auto const reason = std::generic_category().message(errno);
  demand(is_writable, "--out is '", out.string(), "', which cannot be written to: ", reason);
}

} // namespace hyperspectral
