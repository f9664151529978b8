// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "options.hpp"

#include "checks.hpp"
#include "model_name.hpp"

#include <algorithm>
#include <command_line/option_table.hpp>
#include <cstdio>
#include <optional>

namespace hyperspectral {
namespace {

using command_line::Counts;
using command_line::joined;
using command_line::Numbers;
using Words = std::vector<std::string>;

// No machine has room for more of any of them; with these their products, taken as doubles, are close enough.
constexpr Counts sizes{1, 1 << 16};
constexpr Counts depths{0, 1 << 12};
constexpr std::uint64_t most_steps = 0xFFFFFFFF; // dropout draws by the number of the step, in 32 bits

constexpr Numbers at_least_0{};
constexpr Numbers above_0_or_inf{0, Numbers::End::excluded, std::numeric_limits<double>::infinity()};
constexpr Numbers below_1{0, Numbers::End::included, 1, Numbers::End::excluded};
constexpr Numbers between_0_and_1{0, Numbers::End::excluded, 1, Numbers::End::excluded};

std::optional<dchag::comm::MeshShape> read_mesh(std::string const& text) {
  dchag::comm::MeshShape shape;
  char rest = 0;
  constexpr int most = 1 << 16; // the product of three is an int64
  bool const whole = std::sscanf(text.c_str(), "%6dx%6dx%6d%c", &shape.tensor, &shape.shard, &shape.data, &rest) == 3;
  bool const in_range = shape.tensor > 0 && shape.shard > 0 && shape.data > 0 && shape.tensor <= most &&
                        shape.shard <= most && shape.data <= most;
  return whole && in_range ? std::optional(shape) : std::nullopt;
}

std::string to_string(dchag::comm::MeshShape const& shape) {
  return shape.tensor == 0 ? "" : dchag::concat(shape.tensor, 'x', shape.shard, 'x', shape.data);
}

/// All options, in the order of the help. They read into `options`, which outlives the table.
class Table : public command_line::OptionTable {
public:
  explicit Table(Options& options)
      : OptionTable("hyperspectral_mae",
                    "Trains a masked autoencoder on hyperspectral cubes: D-CHAG aggregates the channels, a ViT encodes "
                    "the\nvisible quarter of the positions, a light decoder fills in the rest.\n"
                    "Run it under mpiexec on as many ranks as --mesh and --model allow.\n\n"
                    "Options that begin with --kokkos- go to Kokkos, whose own help --kokkos-help prints.") {
    data(options);
    model(options);
    training(options);
    ranks(options);
    output(options);
  }

private:
  void data(Options& options) {
    auto& model = options.model;
    begin_group("Data");
    auto& data = add(
        "--data", "names, none of them empty",
        "ENVI or TIFF cubes: files, folders, or lists of files; none: made-up scenes",
        [&](Words const& words) {
          options.data.assign(words.begin(), words.end());
          return std::ranges::none_of(words, &std::string::empty);
        },
        [&] {
          Words words;
          for (auto const& path : options.data) words.push_back(path.string());
          return joined(words);
        });
    data.words = command_line::Option::any_number;
    data.initial = "made-up scenes";
    data.decides = false;
    count("--bands", options.scene_bands, sizes, "Bands of the made-up scenes, 400 to 2500 nm").decides = false;
    auto& tested = count("--test-count", options.test_count, {1, 1'000'000},
                         "Cubes held out for testing; all of them are in memory, and tested at once");
    tested.initial = "a fifth, at most 10";
    tested.decides = false;
    add(
        "--crop", "an edge, or lines x samples, each from 1 to 65536",
        "Size of the training images, in pixels: an edge, or lines and samples as in 192x384",
        [&](Words const& words) {
          auto const crop = read_crop(words.front());
          if (crop) model.crop = *crop;
          auto const fits = [](std::size_t size) { return sizes.least <= size && size <= sizes.most; };
          return crop && fits(crop->lines) && fits(crop->samples);
        },
        [&] { return to_string(model.crop); });
    auto& augment = add(
        "--no-augment", "", "No flips and quarter turns",
        [&](Words const& words) {
          options.augment = words.front() != "true";
          return true;
        },
        [&] { return options.augment ? "false" : "true"; });
    augment.words = 0;
  }

  void model(Options& options) {
    auto& model = options.model;
    begin_group("Model");
    auto& models = add(
        "--model,--strategy", "one or more of: " + model_names_help(),
        "What aggregates the channels, and how the ranks of a model share it; several are trained one after the other "
        "and drawn together",
        [&](Words const& words) {
          options.models = words;
          return std::ranges::all_of(words, [](auto const& name) { return read_model_name(name).has_value(); });
        },
        [&] { return joined(options.models); });
    models.words = command_line::Option::any_number;
    models.decides = false;
    flag("--materialized", model.materialized,
         "Aggregate in the paper's form, which stores the tokens, keys and values of all channels; the same function "
         "as the fused form, which stores none but the tokens that 'tokens' sends")
        .decides = false;
    count("--patch", model.patch, sizes, "Edge of a patch, in pixels; it divides both sides of --crop");
    count("--width", model.width, sizes, "Features of a token; a multiple of --heads");
    count("--heads", model.heads, sizes, "Attention heads");
    count("--depth", model.depth, depths, "Encoder blocks");
    count("--decoder-width", model.decoder_width, sizes,
          "Features of a token in the decoder; a multiple of --decoder-heads");
    count("--decoder-depth", model.decoder_depth, depths, "Decoder blocks");
    count("--decoder-heads", model.decoder_heads, sizes, "Decoder attention heads");
    number("--mask", model.mask_ratio, between_0_and_1,
           "Share of the positions that is hidden; some are hidden and some visible");
    flag("--loss-everywhere", model.loss_everywhere, "Count visible pixels in the loss too, as the paper does");
    number("--dropout", model.dropout, below_1, "Share of the encoder's residual branches that is dropped in training");
    choice<Precision>("--precision", model.precision, {{"float", Precision::single}, {"double", Precision::double_}},
                      "What the model computes in");
  }

  void training(Options& options) {
    auto& model = options.model;
    begin_group("Training");
    count("--steps", options.steps, {1, most_steps}, "Training steps");
    count("--batch", options.batch, {1, 1 << 20}, "Samples per step; a multiple of SHARD x DATA of --mesh");
    number("--rate", options.learning_rate, at_least_0, "Peak learning rate (linear warm-up, then cosine to zero)");
    count("--warmup", options.warmup, {0, most_steps}, "Warm-up steps, fewer than --steps").initial =
        "100, at most a tenth of the steps";
    number("--decay", model.weight_decay, at_least_0, "Weight decay of AdamW");
    number("--beta1", model.beta1, below_1, "First moment's decay of AdamW");
    number("--beta2", model.beta2, below_1, "Second moment's decay of AdamW");
    number("--clip", model.clip, above_0_or_inf, "Largest norm of the gradients; inf: they are not clipped");
    count("--seed", model.seed, {}, "Of weights, masks, batches and scenes");
    count("--evaluations", options.evaluations, {1, most_steps}, "How often the held-out cubes are tested").decides =
        false;
  }

  void ranks(Options& options) {
    using dchag::parallel::Sharding;
    begin_group("Ranks");
    auto& mesh = add(
        "--mesh", "TENSORxSHARDxDATA as in 2x1x4, whose product is the number of ranks",
        "TENSOR ranks share a model, SHARD a copy of its parameters, and DATA hold copies; the samples of a batch are "
        "shared by SHARD x DATA",
        [&](Words const& words) {
          auto const shape = read_mesh(words.front());
          if (shape) options.mesh = *shape;
          return shape.has_value();
        },
        [&] { return to_string(options.mesh); });
    mesh.initial = "all ranks share the model";
    mesh.decides = false;
    auto& sharding =
        choice<Sharding>("--sharding", options.model.sharding,
                         {{"none", Sharding::none}, {"optimizer", Sharding::optimizer}, {"full", Sharding::full}},
                         "What SHARD ranks divide: optimizer is ZeRO-1, full is ZeRO-3 or FSDP");
    sharding.initial = "full if SHARD is above 1";
    sharding.decides = false;
    flag("--recompute", options.model.recompute,
         "Compute the activations inside encoder blocks again in the backward pass instead of storing them")
        .decides = false;
  }

  void output(Options& options) {
    begin_group("Output");
    add(
        "--out", "the name of a folder, which is made if it is not there",
        "Folder for curves, pictures and checkpoints",
        [&](Words const& words) {
          options.out = words.front();
          return !words.front().empty();
        },
        [&] { return options.out.string(); })
        .decides = false;
    count("--checkpoint-every", options.checkpoint_every, {0, most_steps},
          "Steps between checkpoints in <out>/checkpoints_<model>; 0: only at the end, or when a signal ends the run")
        .decides = false;
    choice<bool>("--checkpoint-layout", options.file_of_each_rank, {{"one", false}, {"ranks", true}},
                 "The files of a checkpoint: one, which all ranks write to, or one for each rank, which NFS and file "
                 "systems like it need where the ranks run on several nodes")
        .decides = false;
    flag("--resume", options.resume, "Go on from the newest whole checkpoint, on any mesh").decides = false;
  }
};

std::vector<dchag::comm::Setting> rows(Options options, bool only_deciding) {
  Table const table(options);
  std::vector<dchag::comm::Setting> settings;
  for (auto const& option : table.options())
    if (option.decides || !only_deciding) settings.emplace_back(option.name(), option.text());
  return settings;
}

/// The page of documentation, with what `--resume` compares.
std::string page_of(Table const& table) {
  std::string names;
  for (auto const& option : table.options())
    if (option.decides) names += (names.empty() ? "`" : ", `") + option.name() + '`';
  return table.markdown() + "\n## Going on\n\n" +
         "What decides what is learned is kept in checkpoints, and `--resume` refuses another value of it:\n" + names +
         ".\nIt also refuses other data: another number of bands, another number of cubes to train on or held out "
         "(`--test-count`), or another checksum of the values.\nAll options must be the same on all ranks, which is "
         "looked at before anything is read.\n";
}

} // namespace

Asked parse(int argc, char const* const* argv, int ranks, Options& options, std::string& text) {
  Table table(options);
  auto const asked = table.parse(argc, argv);
  if (asked != Table::Asked::run) {
    text = asked == Table::Asked::help ? table.help() : page_of(table);
    return Asked::text;
  }
  if (!table["--warmup"].given) options.warmup = std::min(options.warmup, options.steps / 10);
  if (!table["--mesh"].given) options.mesh = {ranks, 1, 1};
  using dchag::parallel::Sharding;
  if (!table["--sharding"].given) options.model.sharding = options.mesh.shard > 1 ? Sharding::full : Sharding::none;
  check_options(options, ranks);
  return Asked::training;
}

std::vector<dchag::comm::Setting> settings(Options const& options) {
  return rows(options, false);
}

std::vector<dchag::comm::Setting> deciding_settings(Options const& options) {
  return rows(options, true);
}

} // namespace hyperspectral
