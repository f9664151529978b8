// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
//
// What a rank will hold in a training step, by name, before the job is submitted: nothing is allocated and nothing
// sent.
//
//   plan_memory --channels 500 --groups 16 --mesh 16 4 2 --sharding optimizer
#include <dchag/plan/memory.hpp>

#include <array>
#include <command_line/option_table.hpp>
#include <iostream>

namespace plan = dchag::plan;
using command_line::Counts;
using dchag::parallel::Sharding;

namespace {

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
  using command_line::Numbers;
  constexpr Counts sizes{1, 1 << 24};
  constexpr Counts depths{0, 1 << 12};
  command_line::OptionTable table("plan_memory", "Bytes that a rank holds while a masked autoencoder is trained.");
  table.begin_group("Images");
  table.count("--samples", config.samples, sizes, "Of a replica and micro-batch");
  table.count("--height", config.height, sizes, "Of the images, in pixels; a multiple of --patch");
  table.count("--width", config.width, sizes, "Of the images, in pixels; a multiple of --patch");
  table.count("--patch", config.patch, sizes, "Edge of a patch, in pixels");
  table.count("--channels", config.channels, sizes, "Channels");
  table.begin_group("Model");
  table.count("--features", config.features, sizes, "Features of a token; a multiple of --heads");
  table.count("--heads", config.heads, sizes, "Heads of aggregation and encoder");
  table.count("--depth", config.depth, depths, "Encoder blocks");
  table.count("--mlp-ratio", config.mlp_ratio, {1, 1 << 10}, "Hidden features of an MLP, in features");
  table.count("--decoder-features", config.decoder_features, sizes,
              "Features of a token in the decoder; a multiple of --decoder-heads");
  table.count("--decoder-depth", config.decoder_depth, depths, "Decoder blocks");
  table.count("--decoder-heads", config.decoder_heads, sizes, "Decoder heads");
  table.number("--mask", config.mask_ratio, {0, Numbers::End::included, 1, Numbers::End::excluded},
               "Share of the positions that is hidden");
  table.flag("--dropout", config.dropout, "Numbers are dropped");
  table.flag("--recompute", config.recompute, "Make a block's activations again in the backward pass");
  table.begin_group("Aggregation");
  table.choice<plan::Strategy>("--strategy", aggregation.strategy,
                               {{"flat", plan::Strategy::flat},
                                {"exact-flat", plan::Strategy::exact_flat},
                                {"groups", plan::Strategy::groups},
                                {"tensor-parallel", plan::Strategy::tensor_parallel},
                                {"distributed-tokenization", plan::Strategy::distributed_tokenization}},
                               "Who aggregates the channels");
  table.choice<plan::Form>("--form", aggregation.form,
                           {{"fused", plan::Form::fused}, {"materialized", plan::Form::materialized}},
                           "Of the aggregation");
  table.choice<plan::Layer>("--layer", aggregation.layer,
                            {{"cross-attention", plan::Layer::cross_attention}, {"linear", plan::Layer::linear}},
                            "-C or -L");
  table.count("--level", aggregation.level, {0, 1 << 16}, "Groups of one more level of the trees; 0: Tree0");
  table.count("--groups", aggregation.groups, {1, 1 << 16}, "Groups of D-CHAG");
  table.choice<plan::Final>("--final", aggregation.final_module,
                            {{"cross-attention", plan::Final::cross_attention},
                             {"linear", plan::Final::linear},
                             {"head-shared", plan::Final::head_shared}},
                            "What reduces the groups' tokens");
  table.flag("--projection-bias", aggregation.projection_bias, "Biases in the cross-attention");
  table.begin_group("Ranks");
  table.choice<plan::EncoderForm>("--encoder", config.encoder,
                                  {{"replicated", plan::EncoderForm::replicated},
                                   {"tensor", plan::EncoderForm::tensor_parallel},
                                   {"sequence", plan::EncoderForm::sequence_parallel}},
                                  "How tensor-parallel ranks share the encoder");
  table.counts("--mesh", mesh, {1, 1 << 20}, "Ranks: tensor, shard, data");
  table.choice<Sharding>("--sharding", config.sharding,
                         {{"none", Sharding::none}, {"optimizer", Sharding::optimizer}, {"full", Sharding::full}},
                         "What shards divide");
  table.choice<std::size_t>("--number-bytes", config.number_bytes, {{"4", 4}, {"8", 8}}, "Of a float or a double");
  table.count("--threads", config.threads, {1, 1 << 16}, "Of a rank");
  if (auto const asked = table.parse(argc, argv); asked != table.Asked::run) {
    std::cout << (asked == table.Asked::help ? table.help() : table.markdown());
    return 0;
  }
  for (auto const* option : {"--groups", "--final"})
    dchag::require<dchag::Error>(!table[option].given || aggregation.strategy == plan::Strategy::groups, option,
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
