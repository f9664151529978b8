// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "options.hpp"

#include <dchag/core/error.hpp>

#include "model.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <iostream>

namespace hyperspectral {

namespace {
dchag::comm::MeshShape read_mesh(std::string const& text) {
  dchag::comm::MeshShape shape;
  char rest = 0;
  bool const whole = std::sscanf(text.c_str(), "%dx%dx%d%c", &shape.tensor, &shape.shard, &shape.data, &rest) == 3;
  constexpr int most = 1 << 20;
  bool const in_range = shape.tensor > 0 && shape.shard > 0 && shape.data > 0 && shape.tensor <= most &&
                        shape.shard <= 1024 && shape.data <= 1024;
  dchag::require<dchag::Error>(whole && in_range, "--mesh is '", text, "', expected TENSORxSHARDxDATA as in 2x1x4");
  return shape;
}
} // namespace

bool parse(int argc, char** argv, bool print, Options& options) {
  auto& model = options.model;
  bool no_augment = false;
  std::string crop = to_string(model.crop);
  std::string mesh;
  using dchag::parallel::Sharding;
  CLI::App app{"Trains a masked autoencoder on hyperspectral cubes: D-CHAG aggregates the channels, a ViT encodes the\n"
               "visible quarter of the positions, a light decoder fills in the rest.\n"
               "Run it under mpirun with any number of ranks that divides the groups."};
  app.set_config("--config", "", "Read options from this file (TOML or INI)");
  app.option_defaults()->always_capture_default()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);

  app.add_option("--data", options.data, "ENVI or TIFF cubes: files, folders, or lists of files; none: made-up scenes")
      ->group("Data");
  app.add_option("--bands", options.scene_bands, "Bands of the made-up scenes, 400 to 2500 nm")
      ->check(CLI::PositiveNumber)
      ->group("Data");
  app.add_option("--test-count", options.test_count, "Cubes held out for testing")
      ->check(CLI::PositiveNumber)
      ->default_str("a fifth, at most 10")
      ->group("Data");
  app.add_option("--crop", crop, "Size of the training images, in pixels: an edge, or lines and samples as in 192x384")
      ->group("Data");
  app.add_flag("--no-augment", no_augment, "No flips and quarter turns")->group("Data");

  app.add_option("--model,--strategy", options.models,
                 "What aggregates the channels, and how the ranks of a model share it; several are trained one after "
                 "the other and drawn together. " +
                     model_names_help())
      ->group("Model");
  app.add_flag("--materialized", model.materialized,
               "Aggregate in the paper's form, which stores the tokens, keys and values of all channels; the same "
               "function as the fused form, which stores none but the tokens that 'tokens' sends")
      ->group("Model");
  app.add_option("--patch", model.patch, "Edge of a patch, in pixels")->group("Model");
  app.add_option("--width", model.width, "Features of a token")->group("Model");
  app.add_option("--heads", model.heads, "Attention heads")->group("Model");
  app.add_option("--depth", model.depth, "Encoder blocks")->group("Model");
  app.add_option("--decoder-width", model.decoder_width, "Features of a token in the decoder")->group("Model");
  app.add_option("--decoder-depth", model.decoder_depth, "Decoder blocks")->group("Model");
  app.add_option("--decoder-heads", model.decoder_heads, "Decoder attention heads")->group("Model");
  app.add_option("--mask", model.mask_ratio, "Share of the positions that is hidden")->group("Model");
  app.add_flag("--loss-everywhere", model.loss_everywhere, "Count visible pixels in the loss too, as the paper does")
      ->group("Model");
  app.add_option("--dropout", model.dropout, "Share of the encoder's residual branches that is dropped in training")
      ->group("Model");
  app.add_option("--precision", model.precision, "float or double")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, Precision>{{"float", Precision::single}, {"double", Precision::double_}}))
      ->default_str("float")
      ->group("Model");

  app.add_option("--steps", options.steps, "Training steps")->check(CLI::PositiveNumber)->group("Training");
  app.add_option("--batch", options.batch, "Samples per step")->check(CLI::PositiveNumber)->group("Training");
  app.add_option("--rate", options.learning_rate, "Peak learning rate (linear warm-up, then cosine to zero)")
      ->check(CLI::NonNegativeNumber)
      ->group("Training");
  app.add_option("--warmup", options.warmup, "Warm-up steps")
      ->default_str("100, at most a tenth of the steps")
      ->group("Training");
  app.add_option("--decay", model.weight_decay, "Weight decay of AdamW")->group("Training");
  app.add_option("--beta1", model.beta1, "First moment's decay of AdamW")->group("Training");
  app.add_option("--beta2", model.beta2, "Second moment's decay of AdamW")->group("Training");
  app.add_option("--clip", model.clip, "Largest norm of the gradients")->group("Training");
  app.add_option("--seed", model.seed, "Of weights, masks, batches and scenes")->group("Training");
  app.add_option("--evaluations", options.evaluations, "How often the held-out cubes are tested")
      ->check(CLI::PositiveNumber)
      ->group("Training");
  app.add_option("--mesh", mesh,
                 "Ranks as TENSORxSHARDxDATA: so many share a model, a copy of its parameters, and copy it; "
                 "the samples of a batch are shared by SHARD x DATA. Default: all ranks share the model")
      ->group("Ranks");
  app.add_option("--sharding", model.sharding, "What SHARD ranks divide: none, optimizer (ZeRO-1), full (ZeRO-3, FSDP)")
      ->transform(CLI::CheckedTransformer(std::map<std::string, Sharding>{
          {"none", Sharding::none}, {"optimizer", Sharding::optimizer}, {"full", Sharding::full}}))
      ->default_str("full if SHARD > 1")
      ->group("Ranks");
  app.add_flag("--recompute", model.recompute, "Make what happened inside encoder blocks again instead of keeping it")
      ->group("Ranks");
  app.add_option("--out", options.out, "Folder for curves and pictures")->group("Output");
  app.add_option(
         "--checkpoint-every", options.checkpoint_every,
         "Steps between checkpoints in <out>/checkpoints_<model>; 0: only at the end, or when a signal ends the "
         "run")
      ->group("Output");
  app.add_flag("--resume", options.resume, "Go on from the newest whole checkpoint, on any mesh")->group("Output");

  try {
    app.parse(argc, argv);
  } catch (CLI::Success const& help) {
    std::ostringstream text;
    app.exit(help, text, text);
    if (print) std::cout << text.str() << std::flush;
    return false;
  } catch (CLI::ParseError const& error) {
    throw dchag::Error(error.what());
  }
  options.augment = !no_augment;
  if (app.count("--warmup") == 0) options.warmup = std::min(options.warmup, options.steps / 10);
  if (!mesh.empty()) options.mesh = read_mesh(mesh);
  if (app.count("--sharding") == 0 && options.mesh.shard > 1) model.sharding = Sharding::full;
  auto const replicas = static_cast<std::size_t>(std::max(1, options.mesh.shard * options.mesh.data));
  dchag::require<dchag::Error>(options.batch % replicas == 0, "--batch is ", options.batch,
                               ", expected a multiple of the replicas ", replicas, " of --mesh ", mesh);
  for (auto const& name : options.models) check_model_name(name);
  auto const size = read_crop(crop);
  dchag::require<dchag::Error>(size.has_value(), "--crop is '", crop, "', expected an edge, or lines x samples");
  model.crop = *size;
  dchag::require<dchag::Error>(model.patch > 0 && model.crop.pixels() > 0 && model.crop.lines % model.patch == 0 &&
                                   model.crop.samples % model.patch == 0,
                               "--crop is ", crop, ", expected a multiple of --patch ", model.patch);
  dchag::require<dchag::Error>(options.warmup < options.steps, "--warmup is ", options.warmup,
                               ", expected fewer than --steps ", options.steps);
  return true;
}

std::vector<dchag::comm::Setting> settings(Options const& options) {
  auto const& model = options.model;
  std::string models, data;
  for (auto const& name : options.models) models += name + ' ';
  for (auto const& path : options.data) data += path.string() + ' ';
  return {{"--data", data},
          {"--bands", options.scene_bands},
          {"--test-count", options.test_count},
          {"--model", models},
          {"--materialized", model.materialized},
          {"--crop", to_string(model.crop)},
          {"--patch", model.patch},
          {"--width", model.width},
          {"--heads", model.heads},
          {"--depth", model.depth},
          {"--decoder-width", model.decoder_width},
          {"--decoder-depth", model.decoder_depth},
          {"--decoder-heads", model.decoder_heads},
          {"--mask", model.mask_ratio},
          {"--loss-everywhere", model.loss_everywhere},
          {"--dropout", model.dropout},
          {"--recompute", model.recompute},
          {"--sharding", static_cast<int>(model.sharding)},
          {"--checkpoint-every", options.checkpoint_every},
          {"--resume", options.resume},
          {"--precision", model.precision == Precision::single ? "float" : "double"},
          {"--no-augment", !options.augment},
          {"--steps", options.steps},
          {"--batch", options.batch},
          {"--rate", options.learning_rate},
          {"--warmup", options.warmup},
          {"--decay", model.weight_decay},
          {"--beta1", model.beta1},
          {"--beta2", model.beta2},
          {"--clip", model.clip},
          {"--seed", model.seed},
          {"--evaluations", options.evaluations}};
}

} // namespace hyperspectral
