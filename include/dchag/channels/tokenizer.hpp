// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/channels/channel_tokens.hpp>
#include <dchag/channels/image.hpp>
#include <dchag/core/workspace.hpp>
#include <dchag/layers/parameter.hpp>
#include <dchag/ops/gemm.hpp>
#include <dchag/ops/patches.hpp>

namespace dchag {

/// One patch embedding per channel, weights not shared: x[c, n] = E[c] patch(c, n) + b[c] + v[c].
///
/// Shapes: image (B, planes, H, W) -> tokens (C, N, D), channels first, N = B * positions: a rank's tokens, and later
/// the gathered groups, are then contiguous pieces. Parameters of the rank's channels: `<name>.weight` (C, D, s),
/// `<name>.bias` (C, D), `<name>.embedding` (C, D), with s = patch * patch. Source: the paper's tokenizer (ClimaX'
/// variable tokenization); embedding initialised with the 1-D sine and cosine of the channel's index.
template <KokkosExecutionSpace ExecutionSpace, Scalar T>
class Tokenizer {
public:
  using value_type = T;

  struct Config {
    std::size_t channels; ///< of the model
    std::size_t patch;    ///< edge, in pixels
    std::size_t width;
  };

  /// Holds the weights of the channels `own` only. `partial_gradient`: the gradients of its tokens are this rank's
  /// share (see `ParameterSpec`).
  Tokenizer(ExecutionSpace const& exec, std::string const& name, Config const& config, Range own, std::uint64_t seed,
            bool partial_gradient = false)
      : m_config(checked(config)), m_own(own), m_partial_gradient(partial_gradient),
        m_weight(exec, spec(name + ".weight", {own.size(), config.width, config.patch * config.patch}, true),
                 initial::truncated_normal(seed, name + ".weight", 1.0 / static_cast<double>(config.patch))),
        m_bias(exec, spec(name + ".bias", {own.size(), config.width}, false),
               initial::uniform(seed, name + ".bias", 1.0 / static_cast<double>(config.patch))),
        m_embedding(exec, spec(name + ".embedding", {own.size(), config.width}, false),
                    [D = config.width](auto i) { return initial::sine_cosine(static_cast<double>(i / D), i % D, D); }) {
  }

  Config const& config() const { return m_config; }
  Range own() const { return m_own; }

  /// Shapes: tokens (plan.tokens(), N, D).
  template <class Pixels>
  void forward(Workspace<ExecutionSpace>& workspace, TokenPlan<ExecutionSpace> const& plan, Image<Pixels> const& image,
               Tensor<ExecutionSpace, T, 3> const& tokens) const {
    auto frame = workspace.frame();
    auto const patches = gathered_patches(workspace, frame, plan, image);
    auto const weight = m_weight.template value<3>();
    // the offsets first, so that the products add to them and the tokens are swept once less
    fill_offsets(workspace.exec(), plan.device_channels(), m_bias.template value<2>(), m_embedding.template value<2>(),
                 tokens);
    for (auto const& run : plan.runs())
      ops::gemm(workspace.exec(), ops::Op::none, ops::Op::transpose, T(1),
                slices(patches, run.token, run.token + run.count), slices(weight, run.channel, run.channel + run.count),
                T(1), slices(tokens, run.token, run.token + run.count));
  }

  /// Shapes: d_tokens like tokens; d_pixels like image.pixels, or `no_gradient`.
  template <class Pixels, GradientView<4> DPixels>
  void backward(Workspace<ExecutionSpace>& workspace, TokenPlan<ExecutionSpace> const& plan, Image<Pixels> const& image,
                Tensor<ExecutionSpace, T, 3> const& d_tokens, DPixels const& d_pixels) const {
    auto frame = workspace.frame();
    auto const patches = gathered_patches(workspace, frame, plan, image);
    auto const d_weight = m_weight.template gradient<3>();
    for (auto const& run : plan.runs())
      ops::gemm(workspace.exec(), ops::Op::transpose, ops::Op::none, T(1),
                slices(d_tokens, run.token, run.token + run.count), slices(patches, run.token, run.token + run.count),
                T(1), slices(d_weight, run.channel, run.channel + run.count));
    add_offset_gradients(workspace.exec(), plan.device_channels(), d_tokens, m_bias.template gradient<2>(),
                         m_embedding.template gradient<2>());
    if constexpr (is_wanted<DPixels>) {
      auto const& d_patches = patches; // no longer needed
      auto const weight = m_weight.template value<3>();
      for (auto const& run : plan.runs())
        ops::gemm(workspace.exec(), ops::Op::none, ops::Op::none, T(1),
                  slices(d_tokens, run.token, run.token + run.count),
                  slices(weight, run.channel, run.channel + run.count), T(0),
                  slices(d_patches, run.token, run.token + run.count));
      ops::scatter_patches(workspace.exec(), d_patches, cleared_patches(workspace.exec(), plan, image, d_pixels));
    }
  }

  /// The tokens (plan.tokens(), N, D) as what makes them, for a level that needs no stored ones.
  template <class Pixels>
  auto unmade_tokens(TokenPlan<ExecutionSpace> const& plan, Image<Pixels> const& image) const {
    auto const source = as_patches(plan, image);
    return ChannelTokens<ExecutionSpace, T, std::remove_const_t<decltype(source)>>{
        source,
        {m_weight.template value<3>(), m_bias.template value<2>(), m_embedding.template value<2>(),
         plan.device_channels()}};
  }

  /// Where the gradients of those tokens go: to the parameters' gradients, and to d_pixels, cleared here, or
  /// `no_gradient`.
  template <class Pixels, GradientView<4> DPixels>
  auto gradients(ExecutionSpace const& exec, TokenPlan<ExecutionSpace> const& plan, Image<Pixels> const& image,
                 DPixels const& d_pixels) const {
    ops::PatchEmbedding<ExecutionSpace, T> const weights{m_weight.template gradient<3>(), m_bias.template gradient<2>(),
                                                         m_embedding.template gradient<2>(), plan.device_channels()};
    if constexpr (is_wanted<DPixels>) {
      auto const patches = cleared_patches(exec, plan, image, d_pixels);
      return ChannelTokenGradients<ExecutionSpace, T, std::remove_const_t<decltype(patches)>>{patches, weights};
    } else {
      return ChannelTokenGradients<ExecutionSpace, T, NoGradient>{no_gradient, weights};
    }
  }

  /// The positions per sample that an image asks for.
  /// Throws: ShapeError unless the image has whole patches and the planes that the plan says.
  template <class Pixels>
  std::size_t positions(TokenPlan<ExecutionSpace> const& plan, Image<Pixels> const& image) const {
    std::size_t const p = m_config.patch;
    auto const [B, planes, H, W] = extents_of(image.pixels);
    require(planes == plan.tokens(), "Tokenizer::forward: image has C = ", planes, ", expected C = ", plan.tokens());
    require(B > 0 && H > 0 && W > 0 && H % p == 0 && W % p == 0, "Tokenizer::forward: image of ", B, " x ", H, " x ", W,
            " (B x H x W), expected at least one sample and multiples of the patch edge p = ", p);
    if (image.positions.extent(0) == 0) return H / p * (W / p);
    require(image.positions.extent(0) == B && image.positions.extent(1) > 0, "Tokenizer::forward: positions for ",
            image.positions.extent(0), " samples, expected B = ", B);
    return image.positions.extent(1);
  }

  template <class F>
  void for_each_parameter(F const& f) {
    f(m_weight);
    f(m_bias);
    f(m_embedding);
  }

  // Kernels live in static functions: a device compiler wants their enclosing function to be public.
  template <class Index, class Bias, class Tokens>
  static void fill_offsets(ExecutionSpace const& exec, Index const& channels, Bias const& bias, Bias const& embedding,
                           Tokens const& tokens) {
    std::size_t const N = tokens.extent(1);
    for_each_element(
        exec, "dchag::channels::tokenizer_offsets", tokens.extent(0) * N, tokens.extent(2),
        KOKKOS_LAMBDA(std::size_t row, std::size_t j) {
          std::size_t const c = channels(row / N);
          tokens(row / N, row % N, j) = bias(c, j) + embedding(c, j);
        });
  }

  // Kokkos 3.4 cannot fill a strided view of four axes
  template <class DPixels>
  static void clear_pixels(ExecutionSpace const& exec, DPixels const& d_pixels) {
    std::size_t const C = d_pixels.extent(1);
    std::size_t const W = d_pixels.extent(3);
    for_each_element(
        exec, "dchag::channels::tokenizer_clear_pixels", d_pixels.extent(0) * C, d_pixels.extent(2) * W,
        KOKKOS_LAMBDA(std::size_t plane, std::size_t pixel) {
          d_pixels(plane / C, plane % C, pixel / W, pixel % W) = typename DPixels::value_type(0);
        });
  }

  // bias and embedding are added alike, so their gradients are equal
  template <class Index, class DTokens, class DBias>
  static void add_offset_gradients(ExecutionSpace const& exec, Index const& channels, DTokens const& d_tokens,
                                   DBias const& d_bias, DBias const& d_embedding) {
    using Worker = Team<ExecutionSpace>;
    std::size_t const N = d_tokens.extent(1);
    std::size_t const D = d_tokens.extent(2);
    constexpr std::size_t rows_of_block = 64;
    for_each_team(
        exec, "dchag::channels::tokenizer_offset_gradients", d_tokens.extent(0),
        KOKKOS_LAMBDA(Worker const& team, std::size_t token) {
          constexpr std::size_t strip = runs_on_host<ExecutionSpace> ? 64 : 1;
          std::size_t const c = channels(token);
          team.for_each((D + strip - 1) / strip, [&](std::size_t task) {
            std::size_t const begin = task * strip;
            std::size_t const count = (math::min)(strip, D - begin);
            T total[strip] = {};
            for (std::size_t first = 0; first < N; first += rows_of_block) {
              T partial[strip] = {};
              for (std::size_t n = first; n < (math::min)(N, first + rows_of_block); ++n)
                for (std::size_t j = 0; j < count; ++j) partial[j] += d_tokens(token, n, begin + j);
              for (std::size_t j = 0; j < count; ++j) total[j] += partial[j];
            }
            for (std::size_t j = 0; j < count; ++j) {
              d_bias(c, begin + j) += total[j];
              d_embedding(c, begin + j) += total[j];
            }
          });
        });
  }

private:
  static Config checked(Config const& config) {
    require(config.channels > 0 && config.patch > 0 && config.width > 0, "Tokenizer: channels C = ", config.channels,
            ", patch edge p = ", config.patch, ", width D = ", config.width, ", expected at least 1 each");
    return config;
  }

  ParameterSpec spec(std::string name, std::vector<std::size_t> shape, bool decay) const {
    ParameterSpec result{.name = std::move(name), .shape = std::move(shape), .decay = decay};
    result.partial_gradient = m_partial_gradient;
    result.channels = {0, m_config.channels};
    if (m_own.size() == m_config.channels) return result;
    result.placement = Placement::distributed;
    result.whole = result.shape;
    result.whole[0] = m_config.channels;
    result.begin.assign(result.shape.size(), 0);
    result.begin[0] = m_own.begin;
    return result;
  }

  template <class Pixels>
  auto as_patches(TokenPlan<ExecutionSpace> const& plan, Image<Pixels> const& image) const {
    static_assert(Kokkos::SpaceAccessibility<ExecutionSpace, typename Pixels::memory_space>::accessible,
                  "Tokenizer: the execution space cannot read the image's memory space");
    return ops::Patches<Pixels, typename ExecutionSpace::memory_space>{image.pixels, m_config.patch,
                                                                       plan.device_planes(), image.positions};
  }

  /// The patches of the image's gradient, all of which is cleared: not every pixel need be read.
  template <class Pixels, class DPixels>
  auto cleared_patches(ExecutionSpace const& exec, TokenPlan<ExecutionSpace> const& plan, Image<Pixels> const& image,
                       DPixels const& d_pixels) const {
    require_shape("Tokenizer::backward", "d_pixels", d_pixels, extents_of(image.pixels));
    clear_pixels(exec, d_pixels);
    return ops::gradient_by_strides(as_patches(plan, image),
                                    as_patches(plan, Image<DPixels>{d_pixels, {}, image.positions}));
  }

  template <class Frame, class Pixels>
  Tensor<ExecutionSpace, T, 3> gathered_patches(Workspace<ExecutionSpace>& workspace, Frame& frame,
                                                TokenPlan<ExecutionSpace> const& plan,
                                                Image<Pixels> const& image) const {
    auto const source = as_patches(plan, image);
    auto const patches = frame.template take<T, 3>({plan.tokens(), source.count(), source.pixels()});
    ops::gather_patches(workspace.exec(), source, patches);
    return patches;
  }

  Config m_config;
  Range m_own;
  bool m_partial_gradient;
  Parameter<ExecutionSpace, T> m_weight;    // (C, D, s)
  Parameter<ExecutionSpace, T> m_bias;      // (C, D)
  Parameter<ExecutionSpace, T> m_embedding; // (C, D)
};

} // namespace dchag
