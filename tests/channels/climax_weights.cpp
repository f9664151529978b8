// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/channels/flat_aggregator.hpp>
#include <dchag/train/checkpoint.hpp>

#include <support/distributed.hpp>
#include <support/temporary_folder.hpp>

namespace channels_climax_weights {

using namespace dchag;
using namespace dchag::test;
using comm::Communicator;

namespace {

std::size_t const C = 5, p = 2, D = 8, h = 2;

/// Tensors of a file, in the layout of ClimaX' published weights.
struct Tensors {
  Tensors() {
    for (std::size_t c = 0; c < C; ++c) {
      add(concat("token_embeds.", c, ".proj.weight"), {D, 1, p, p});
      add(concat("token_embeds.", c, ".proj.bias"), {D});
    }
    add("channel_embed", {1, C, D});
    add("channel_query", {1, 1, D});
    add("channel_agg.in_proj_weight", {3 * D, D});
    add("channel_agg.in_proj_bias", {3 * D});
    add("channel_agg.out_proj.weight", {D, D});
    add("channel_agg.out_proj.bias", {D});
    add("blocks.0.norm1.weight", {D}); // of what comes after the aggregation
  }

  void add(std::string const& name, std::vector<std::size_t> const& shape) {
    std::size_t count = 1;
    for (auto n : shape) count *= n;
    Random const random(3, name);
    for (std::size_t i = 0; i < count; ++i)
      values[name].push_back(static_cast<float>(0.5 * random.normal(i))); // as the file holds them
    header.tensors.push_back({name, DType::f32, shape});
  }

  /// Written without this library's checkpoints.
  void write(std::filesystem::path const& path) {
    header.metadata = {{"format", "pt"}};
    auto bytes = make_safetensors_header(header);
    for (auto const& tensor : header.tensors)
      for (double x : values.at(tensor.name)) {
        char number[4];
        auto const rounded = static_cast<float>(x);
        std::memcpy(number, &rounded, 4);
        bytes.append(number, 4);
      }
    write_bytes(path, bytes);
  }

  SafetensorsHeader header;
  Numbers values;
};

/// Where the parameters of an aggregator are in such a file.
std::vector<StoredPart> climax(ParameterSpec const& spec) {
  std::string const module = "tree.level0.module0.";
  std::size_t const n = spec.whole_size();
  std::vector<StoredPart> parts;
  for (std::string const kind : {"weight", "bias"}) {
    if (spec.name == "tokenizer." + kind)
      for (std::size_t c = 0; c < spec.whole_shape()[0]; ++c)
        parts.push_back({concat("token_embeds.", c, ".proj.", kind)});
    if (spec.name == module + "q." + kind) parts = {{"channel_agg.in_proj_" + kind, {0, n}}};
    if (spec.name == module + "k." + kind) parts = {{"channel_agg.in_proj_" + kind, {n, 2 * n}}};
    if (spec.name == module + "v." + kind) parts = {{"channel_agg.in_proj_" + kind, {2 * n, 3 * n}}};
    if (spec.name == module + "out." + kind) parts = {{"channel_agg.out_proj." + kind}};
  }
  if (spec.name == "tokenizer.embedding") parts = {{"channel_embed"}};
  if (spec.name == module + "query") parts = {{"channel_query"}};
  return parts;
}

/// What ClimaX' definition makes of an image with these numbers: a convolution of its own for each channel, then
/// multi-head attention of one query over the channels.
std::vector<double> aggregated(Numbers const& file, reference::Array<4> const& image) {
  auto const [B, channels, H, W] = image.extents;
  std::size_t const L = (H / p) * (W / p);
  reference::Array<3> tokens({C, B * L, D});
  for (std::size_t c = 0; c < C; ++c) {
    auto const& weight = file.at(concat("token_embeds.", c, ".proj.weight"));
    for (std::size_t b = 0; b < B; ++b)
      for (std::size_t row = 0; row < H / p; ++row)
        for (std::size_t column = 0; column < W / p; ++column)
          for (std::size_t d = 0; d < D; ++d) {
            double sum = file.at(concat("token_embeds.", c, ".proj.bias"))[d] + file.at("channel_embed")[c * D + d];
            for (std::size_t i = 0; i < p; ++i)
              for (std::size_t j = 0; j < p; ++j)
                sum += weight[(d * p + i) * p + j] * image(b, c, row * p + i, column * p + j);
            tokens(c, b * L + row * (W / p) + column, d) = sum;
          }
  }
  auto const part = [&](std::string const& name, std::size_t which) {
    auto const& all = file.at(name);
    auto const size = static_cast<long>(all.size() / 3);
    return std::vector(all.begin() + size * static_cast<long>(which),
                       all.begin() + size * static_cast<long>(which + 1));
  };
  reference::Model model{D, h, {}};
  model.weights["m.query"] = file.at("channel_query");
  for (std::size_t which = 0; which < 3; ++which) {
    std::string const name = concat("m.", "qkv"[which]);
    model.weights[name + ".weight"] = part("channel_agg.in_proj_weight", which);
    model.weights[name + ".bias"] = part("channel_agg.in_proj_bias", which);
  }
  model.weights["m.out.weight"] = file.at("channel_agg.out_proj.weight");
  model.weights["m.out.bias"] = file.at("channel_agg.out_proj.bias");
  return reference::CrossAttention(model, "m", tokens).y.values;
}

template <class Aggregator, class T = typename Aggregator::value_type>
void check_output(Aggregator& aggregator, Numbers const& file) {
  using Space = typename Aggregator::execution_space;
  Space const exec;
  Workspace<Space> workspace(exec);
  typename Aggregator::Context context;
  auto const image = random_tensor<T>(exec, 8, "image", {2, C, 4, 6});
  auto const y = filled_tensor<T>(exec, {2, 6, D}, nan_value);
  aggregator.forward(workspace, context, planes_of(exec, image, own_planes(aggregator.own_channels(), C, {})), y);
  exec.fence();
  CHECK(relative_error(y, aggregated(file, array_of(image))) < tolerance<T>(1e-5, 1e-12));
}

} // namespace

TEST_CASE_TEMPLATE("weights in the layout of ClimaX give ClimaX' aggregation", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Space const exec;
  Communicator const world;
  TemporaryFolder const folder(world);
  auto const path = folder / "climax.safetensors";
  Tensors tensors;
  if (world.rank() == 0) tensors.write(path);
  AggregatorConfig const config{.channels = C, .patch = p, .width = D, .heads = h, .projection_bias = true};
  LoadOptions const options{.sources = climax, .allow_unexpected = true};
  ChannelAggregator<Space, T> one(exec, config);
  load_checkpoint(world, path, one, options);
  check_output(one, tensors.values);
  FlatAggregator<Space, T> ranks(exec, world, config);
  load_checkpoint(world, path, ranks, options);
  check_output(ranks, tensors.values);

  ChannelAggregator<Space, T> wider(exec, {.channels = C, .patch = p, .width = 2 * D, .heads = h});
  CHECK_THROWS_AS(load_checkpoint(world, path, wider, options), ShapeError);
  ChannelAggregator<Space, T> more(exec, {.channels = C + 1, .patch = p, .width = D, .heads = h});
  CHECK(sentence_of([&] { load_checkpoint(world, path, more, options); })
            .find("missing tokenizer.bias (as token_embeds.5.proj.bias); "
                  "tokenizer.weight (as token_embeds.5.proj.weight)") != std::string::npos);
}

} // namespace channels_climax_weights
