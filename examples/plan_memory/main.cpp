// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
//
// What a rank will hold in a training step, by name, before the job is submitted: nothing is allocated and nothing
// sent.
//
//   plan_memory --channels 500 --groups 16 --mesh 16 4 2 --sharding optimizer
#include <dchag/plan/memory.hpp>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <iostream>
#include <map>
#include <string>

namespace plan = dchag::plan;
using dchag::parallel::Sharding;

namespace {

template <class Enum>
void add_choice(CLI::App& app, std::string const& name, Enum& value, std::map<std::string, Enum> const& names,
                std::string const& help) {
  auto const initial = std::ranges::find(names, value, [](auto const& entry) { return entry.second; });
  std::string choices;
  for (auto const& [choice, chosen] : names) choices += (choices.empty() ? "" : ", ") + choice;
  app.add_option(name, value, help + ": " + choices)
      ->transform(CLI::CheckedTransformer(names).description(""))
      ->type_name("NAME")
      ->default_str(initial->first);
}

// The worked example of docs/memory.md, if nothing else is said.
plan::Config example() {
  return {.samples = 4,
          .height = 128,
          .width = 256,
          .patch = 4,
          .channels = 1024,
          .features = 2048,
          .heads = 32,
          .depth = 32,
          .aggregation = {.strategy = plan::Strategy::groups, .groups = 8},
          .encoder = plan::EncoderForm::sequence_parallel,
          .mesh = {.tensor = 8, .shard = 8, .data = 1},
          .sharding = Sharding::full};
}

} // namespace

int main(int argc, char** argv) try {
  auto config = example();
  auto& aggregation = config.aggregation;
  std::array<std::size_t, 3> mesh{config.mesh.tensor, config.mesh.shard, config.mesh.data};
  CLI::App app{"Bytes that a rank holds while a masked autoencoder is trained."};
  app.option_defaults()->always_capture_default();
  app.add_option("--samples", config.samples, "Of a replica and micro-batch");
  app.add_option("--height", config.height, "Of the images, in pixels");
  app.add_option("--width", config.width, "Of the images, in pixels");
  app.add_option("--patch", config.patch, "Edge of a patch, in pixels");
  app.add_option("--channels", config.channels, "Channels");
  app.add_option("--features", config.features, "Features of a token");
  app.add_option("--heads", config.heads, "Heads of aggregation and encoder");
  app.add_option("--depth", config.depth, "Encoder blocks");
  app.add_option("--mlp-ratio", config.mlp_ratio, "Hidden features of an MLP, in features");
  app.add_option("--decoder-features", config.decoder_features, "Features of a token in the decoder");
  app.add_option("--decoder-depth", config.decoder_depth, "Decoder blocks");
  app.add_option("--decoder-heads", config.decoder_heads, "Decoder heads");
  app.add_option("--mask", config.mask_ratio, "Share of the positions that is hidden");
  app.add_flag("--dropout", config.dropout, "Numbers are dropped");
  app.add_flag("--recompute", config.recompute, "Make a block's activations again in the backward pass");
  add_choice(app, "--strategy", aggregation.strategy,
             {{"flat", plan::Strategy::flat},
              {"exact-flat", plan::Strategy::exact_flat},
              {"groups", plan::Strategy::groups},
              {"tensor-parallel", plan::Strategy::tensor_parallel},
              {"distributed-tokenization", plan::Strategy::distributed_tokenization}},
             "Who aggregates the channels");
  add_choice(app, "--form", aggregation.form,
             {{"fused", plan::Form::fused}, {"materialized", plan::Form::materialized}}, "Of the aggregation");
  add_choice(app, "--layer", aggregation.layer,
             {{"cross-attention", plan::Layer::cross_attention}, {"linear", plan::Layer::linear}}, "-C or -L");
  app.add_option("--level", aggregation.level, "Groups of one more level of the trees; 0: Tree0");
  app.add_option("--groups", aggregation.groups, "Groups of D-CHAG");
  add_choice(app, "--final", aggregation.final_module,
             {{"cross-attention", plan::Final::cross_attention},
              {"linear", plan::Final::linear},
              {"head-shared", plan::Final::head_shared}},
             "What reduces the groups' tokens");
  app.add_flag("--projection-bias", aggregation.projection_bias, "Biases in the cross-attention");
  add_choice(app, "--encoder", config.encoder,
             {{"replicated", plan::EncoderForm::replicated},
              {"tensor", plan::EncoderForm::tensor_parallel},
              {"sequence", plan::EncoderForm::sequence_parallel}},
             "How tensor-parallel ranks share the encoder");
  app.add_option("--mesh", mesh, "Ranks: tensor, shard, data");
  add_choice(app, "--sharding", config.sharding,
             {{"none", Sharding::none}, {"optimizer", Sharding::optimizer}, {"full", Sharding::full}},
             "What shards divide");
  app.add_option("--number-bytes", config.number_bytes, "4 or 8");
  app.add_option("--threads", config.threads, "Of a rank");
  CLI11_PARSE(app, argc, argv);
  for (auto const* option : {"--groups", "--final"})
    dchag::require<dchag::Error>(app.count(option) == 0 || aggregation.strategy == plan::Strategy::groups, option,
                                 " says something of --strategy groups only");
  config.mesh = {mesh[0], mesh[1], mesh[2]};
  auto const memory = plan::memory(config);
  std::cout << "a rank of " << config.mesh.ranks() << ", tensor x shard x data " << mesh[0] << " x " << mesh[1] << " x "
            << mesh[2] << ", holds\n"
            << memory;
} catch (dchag::Error const& error) {
  std::cerr << error.what() << '\n';
  return 1;
}

// Prints:
//   a rank of 64, tensor x shard x data 8 x 8 x 1, holds
//                            bytes         GiB       %
//   parameters           140177024       0.131     4.0
//   gradients            140177024       0.131     4.0
//   optimizer            247291648       0.230     7.1
//   activations         1658197056       1.544    47.8
//   workspace            630194304       0.587    18.2
//   buffers              650780672       0.606    18.8
//   total               3466817728       3.229   100.0
