// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/channels/image.hpp>
#include <dchag/models/encoder.hpp>
#include <dchag/models/position_mask.hpp>
#include <dchag/models/prediction_head.hpp>
#include <dchag/ops/losses.hpp>
#include <dchag/ops/patches.hpp>

namespace dchag {

/// Sizes of a masked autoencoder besides those of its aggregator.
struct MaskedAutoencoderConfig {
  std::size_t height; ///< of the images, in pixels
  std::size_t width;
  std::size_t depth; ///< encoder blocks; its feature width is the aggregator's
  std::size_t heads;
  std::size_t decoder_features = 128;
  std::size_t decoder_depth = 2;
  std::size_t decoder_heads = 4;
  std::size_t mlp_ratio = 4;
  double dropout = 0;                                 ///< as `EncoderConfig::dropout`, of encoder and decoder
  bool recompute = false;                             ///< as `EncoderConfig::recompute`, of encoder and decoder
  double norm_epsilon = layers::default_norm_epsilon; ///< as `EncoderConfig::norm_epsilon`, of encoder and decoder
};

/// A masked autoencoder over many channels: aggregate the channels of the visible positions, encode, let a light
/// decoder fill in the hidden positions of every channel.
///
/// The aggregation of a position sees no other position, so hidden positions are not aggregated at all: the same
/// function as masking after the aggregation, at a quarter of its cost for a mask of 75 %. Steps: image -> aggregator
/// (B, kept, D) -> encoder -> Linear D -> D' -> mask tokens (B, L, D') -> decoder -> head (B, L, C s) -> mean squared
/// error against the patches of the target. Collective: `forward` and `backward`: what the aggregator's do, and in the
/// encoder what `Form` says; the numbers are in docs/strategies.md. Decoder and head are replicated: every rank
/// computes the same loss. Source: He et al. 2022; the paper, section 5.1 (decoder 128 wide, 2 deep, 4 heads).
template <class Aggregator, EncoderForm Form = Replicated>
class MaskedAutoencoder {
public:
  using value_type = typename Aggregator::value_type;
  using execution_space = typename Aggregator::execution_space;
  using Mask = PositionMask<execution_space, value_type>;

private:
  using T = value_type;
  using ExecutionSpace = execution_space;

public:
  struct Context {
    typename Aggregator::Context aggregator;
    typename Encoder<ExecutionSpace, T, Form>::Context encoder;
    typename Encoder<ExecutionSpace, T>::Context decoder;
    typename PredictionHead<ExecutionSpace, T>::Context head;
    Tensor<ExecutionSpace, T, 3> fused;      // (B, kept, D)
    Tensor<ExecutionSpace, T, 3> latent;     // (B, kept, D)
    Tensor<ExecutionSpace, T, 3> decoded;    // (B, L, D')
    Tensor<ExecutionSpace, T, 3> prediction; // (B, L, C s)
    layers::DropoutDraw dropout = {};        ///< set before forward; nothing is dropped by default
  };

  MaskedAutoencoder(ExecutionSpace const& exec, Aggregator aggregator, MaskedAutoencoderConfig const& config,
                    Form const& form = Form())
      : m_config(config), m_grid(grid_of(aggregator, config)), m_aggregator(std::move(aggregator)),
        m_encoder(exec, "encoder",
                  {m_grid, features(), config.depth, config.heads, config.mlp_ratio, config.dropout, config.recompute,
                   config.norm_epsilon},
                  seed(), form),
        m_to_decoder(exec, "decoder.in", {.inputs = features(), .outputs = config.decoder_features}, seed()),
        m_mask_token(exec, {.name = "decoder.mask_token", .shape = {config.decoder_features}},
                     initial::truncated_normal(seed(), "decoder.mask_token")),
        m_decoder(exec, "decoder",
                  {m_grid, config.decoder_features, config.decoder_depth, config.decoder_heads, config.mlp_ratio,
                   config.dropout, config.recompute, config.norm_epsilon},
                  seed()),
        m_head(exec, "head",
               {.inputs = config.decoder_features,
                .outputs = outputs(),
                .hidden_layers = 0,
                .channels = {0, m_aggregator.config().channels}},
               seed()) {}

  Grid grid() const { return m_grid; }
  Aggregator const& aggregator() const { return m_aggregator; }

  /// Throws the same error on every rank of `world` unless image, target and mask fit the model on each of them, all
  /// bring as many samples and visible positions, and ranks that share an aggregator the same batch. Without it, what
  /// `forward` and `backward` refuse on one rank may leave others waiting.
  ///
  /// `world` is all ranks that train one model together. Where replicas bring unequal numbers of samples
  /// (`DataParallel::begin_pass`), it is the group that shares its samples, `mesh.tensor()`, and the groups agree. A
  /// replica without samples, which calls `DataParallel::empty_pass`, has nothing to check and agrees too:
  ///
  ///     comm::agree_between_groups(mesh.world(), [&] {
  ///       if (samples > 0) model.check(mesh.tensor(), exec, context, image, target, mask);
  ///     });
  ///
  /// Collective: all ranks of `world`; three all-reduces of at most 16 bytes, and what the aggregator's `check` does.
  template <class Input, TensorView<4> Target>
  void check(comm::Communicator const& world, ExecutionSpace const& exec, Context& context, Input const& input,
             Target const& target, Mask const& mask) const {
    auto const image = as_image(input);
    comm::collectively(world, [&] {
      require_fit(image, mask);
      require_target(target, image.pixels.extent(0));
    });
    comm::require_same(world, "MaskedAutoencoder", {{"samples B", mask.samples()}, {"visible positions", mask.kept()}});
    comm::agree_between_groups(world, [&] { m_aggregator.check(exec, context.aggregator, visible(image, mask)); });
  }

  /// Predicts every channel at every position from the visible ones; the result is `context.prediction`.
  /// Shapes: pixels (B, c, H, W), the planes this rank owns, or all channels; mask for B samples. Throws: ShapeError on
  /// the rank where they do not fit; see `check`.
  template <class Input>
  void forward(Workspace<ExecutionSpace>& workspace, Context& context, Input const& input, Mask const& mask) const {
    auto const& exec = workspace.exec();
    auto const image = as_image(input);
    std::size_t const B = image.pixels.extent(0);
    std::size_t const L = m_grid.positions();
    require_fit(image, mask);
    std::size_t const D = features();
    reserve(exec, context.fused, "dchag::models::fused", Extents<3>{B, mask.kept(), D});
    reserve(exec, context.latent, "dchag::models::latent", Extents<3>{B, mask.kept(), D});
    reserve(exec, context.decoded, "dchag::models::decoded", Extents<3>{B, L, m_config.decoder_features});
    reserve(exec, context.prediction, "dchag::models::prediction", Extents<3>{B, L, outputs()});
    auto frame = workspace.frame();
    auto const narrow = frame.template take<T, 2>({B * mask.kept(), m_config.decoder_features});
    auto const filled = frame.template take<T, 3>({B, L, m_config.decoder_features});
    context.encoder.dropout = context.decoder.dropout = context.dropout;
    NoContext none;
    {
      auto const use = m_aggregator_unit.in_forward();
      m_aggregator.forward(workspace, context.aggregator, visible(image, mask), context.fused);
    }
    m_encoder.forward(workspace, context.encoder, context.fused, mask.visible_index(), context.latent);
    m_to_decoder.forward(workspace, none, context.latent, narrow);
    ops::take_rows(exec, narrow, mask.source(), m_mask_token.values(), rows(filled));
    m_decoder.forward(workspace, context.decoder, filled, mask.all(), context.decoded);
    auto const use = m_head_unit.in_forward();
    m_head.forward(workspace, context.head, context.decoded, context.prediction);
  }

  /// Mean squared error of the prediction against the image, where the mask counts, and its gradients, which are added
  /// to the parameters'. Shapes: target (B, C, H, W), all channels on every rank; image and mask as in `forward`.
  /// Throws: ShapeError on the rank where the target does not fit; see `check`.
  template <class Input, TensorView<4> Target>
  double backward(Workspace<ExecutionSpace>& workspace, Context const& context, Input const& input,
                  Target const& target, Mask const& mask) const {
    auto const& exec = workspace.exec();
    auto const extents = extents_of(context.decoded); // (B, L, D')
    auto frame = workspace.frame();
    auto const d_prediction = frame.template take<T, 3>(extents_of(context.prediction));
    auto const d_decoded = frame.template take<T, 3>(extents);
    auto const d_narrow = frame.template take<T, 2>({extents[0] * mask.kept(), extents[2]});
    auto const d_latent = frame.template take<T, 3>(extents_of(context.latent));
    NoContext const none;
    double const error = mean_squared_error(exec, context, target, mask, rows(d_prediction));
    {
      auto const use = m_head_unit.in_backward();
      m_head.backward(workspace, context.head, context.decoded, d_prediction, d_decoded);
    }
    m_decoder.backward(workspace, context.decoder, mask.all(), d_decoded, d_decoded);
    ops::take_rows_backward(exec, rows(d_decoded), mask.source(), m_mask_token.gradients(), d_narrow);
    m_to_decoder.backward(workspace, none, context.latent, d_narrow, d_latent);
    m_encoder.backward(workspace, context.encoder, mask.visible_index(), d_latent, d_latent);
    auto const use = m_aggregator_unit.in_backward();
    m_aggregator.backward(workspace, context.aggregator, visible(as_image(input), mask), d_latent, no_gradient);
    return error;
  }

  /// The same error without gradients.
  template <TensorView<4> Target>
  double loss(ExecutionSpace const& exec, Context const& context, Target const& target, Mask const& mask) const {
    return mean_squared_error(exec, context, target, mask, no_gradient);
  }

  template <class F>
  void for_each_parameter(F const& f) {
    m_aggregator.for_each_parameter(f);
    m_encoder.for_each_parameter(f);
    m_to_decoder.for_each_parameter(f);
    f(m_mask_token);
    m_decoder.for_each_parameter(f);
    m_head.for_each_parameter(f);
  }

  /// The aggregator, the blocks of encoder and decoder, the head.
  template <class F>
  void for_each_unit(F const& f) {
    f(m_aggregator_unit, m_aggregator);
    m_encoder.for_each_unit(f);
    m_decoder.for_each_unit(f);
    f(m_head_unit, m_head);
  }

  /// What its parts say, and the size of the images.
  Description describe() const {
    Description description;
    if constexpr (Described<Aggregator>) description.add(m_aggregator.describe());
    description.set("image height", m_config.height).set("image width", m_config.width);
    return description.add(m_encoder.describe()).add(m_decoder.describe()).add(m_head.describe());
  }

private:
  static Grid grid_of(Aggregator const& aggregator, MaskedAutoencoderConfig const& config) {
    std::size_t const p = aggregator.config().patch;
    require(config.height > 0 && config.width > 0 && config.height % p == 0 && config.width % p == 0,
            "MaskedAutoencoder: images of ", config.height, " x ", config.width,
            " pixels, expected multiples of the patch edge p = ", p);
    return {config.height / p, config.width / p};
  }
  std::size_t features() const { return m_aggregator.config().width; }
  std::size_t outputs() const {
    auto const& config = m_aggregator.config();
    return config.channels * config.patch * config.patch;
  }
  std::uint64_t seed() const { return m_aggregator.config().seed; }

  template <class Pixels>
  static Image<Pixels> visible(Image<Pixels> image, Mask const& mask) {
    image.positions = mask.visible();
    return image;
  }

  template <class Pixels>
  void require_fit(Image<Pixels> const& image, Mask const& mask) const {
    std::size_t const B = image.pixels.extent(0);
    std::size_t const L = m_grid.positions();
    require(mask.samples() == B && mask.positions() == L, "MaskedAutoencoder: mask of ", mask.samples(),
            " samples with ", mask.positions(), " positions, expected B = ", B, " with L = ", L);
    require(image.pixels.extent(2) == m_config.height && image.pixels.extent(3) == m_config.width,
            "MaskedAutoencoder: image of ", image.pixels.extent(2), " x ", image.pixels.extent(3), " pixels, expected ",
            m_config.height, " x ", m_config.width);
  }
  template <class Target>
  void require_target(Target const& target, std::size_t samples) const {
    require_shape("MaskedAutoencoder", "target", target,
                  {samples, m_aggregator.config().channels, m_config.height, m_config.width});
  }

  template <class Target, class DPrediction>
  double mean_squared_error(ExecutionSpace const& exec, Context const& context, Target const& target, Mask const& mask,
                            DPrediction const& d_prediction) const {
    require_target(target, context.prediction.extent(0));
    ops::Patches<Target, typename ExecutionSpace::memory_space> const patches{
        target, m_aggregator.config().patch, {}, {}};
    return ops::patch_mse(exec, ops::by_strides(patches), rows(context.prediction), mask.weight(), d_prediction);
  }

  MaskedAutoencoderConfig m_config;
  Grid m_grid;
  Aggregator m_aggregator;
  Encoder<ExecutionSpace, T, Form> m_encoder;
  layers::Linear<ExecutionSpace, T> m_to_decoder;
  Parameter<ExecutionSpace, T> m_mask_token;
  Encoder<ExecutionSpace, T> m_decoder;
  PredictionHead<ExecutionSpace, T> m_head;
  Unit m_aggregator_unit, m_head_unit;
};

} // namespace dchag
