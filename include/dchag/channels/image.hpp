// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/channels/channel_set.hpp>
#include <dchag/channels/partition.hpp>
#include <dchag/core/check.hpp>

#include <numeric>

namespace dchag {

/// A batch of images as the aggregators take it.
///
/// pixels     (B, planes, H, W), of any layout and stride: the planes this rank owns.
/// channels   which of the model's channels are present, the same list on every rank; a rank's planes are those of the
///            list that it owns, in the list's order. Empty: all channels in the model's order.
/// positions  (B, kept): which of the L = (H / p)(W / p) patch positions of each sample are wanted, row-major. Empty:
/// all.
template <TensorView<4> Pixels>
struct Image {
  using Positions = Kokkos::View<std::size_t const**, Kokkos::LayoutRight, typename Pixels::memory_space>;

  Pixels pixels;
  std::span<std::size_t const> channels = {};
  Positions positions = {};
};
template <class Pixels>
Image(Pixels) -> Image<Pixels>;
template <class Pixels>
Image(Pixels, std::span<std::size_t const>) -> Image<Pixels>;
template <class Pixels, class Positions>
Image(Pixels, std::span<std::size_t const>, Positions) -> Image<Pixels>;

/// The pixels as aggregators read them, by their strides: what does so is compiled once for all layouts.
template <TensorView<4> Pixels>
using StridedPixels =
    Kokkos::View<typename Pixels::const_data_type, Kokkos::LayoutStride, typename Pixels::memory_space>;

/// A View stands for the image that has all channels at all positions.
template <TensorView<4> Pixels>
Image<StridedPixels<Pixels>> as_image(Pixels const& pixels) {
  return {pixels, {}, {}};
}
template <class Pixels>
Image<StridedPixels<Pixels>> as_image(Image<Pixels> const& image) {
  return {image.pixels, image.channels, image.positions};
}

/// Which tokens a rank makes of an image: for each, in the order of the model's channels, the plane it is read from and
/// its channel, counted from the rank's first. Made again only when the list of channels changes.
template <KokkosExecutionSpace ExecutionSpace>
class TokenPlan {
public:
  using Index = Tensor<ExecutionSpace, std::size_t, 1>;

  /// Consecutive tokens of consecutive channels: their weights lie as their tokens do.
  struct Run {
    std::size_t token, channel, count;
  };

  /// Returns whether anything changed. `own` are the channels of this rank, out of `model_channels`.
  bool update(ExecutionSpace const& exec, std::span<std::size_t const> channels, std::size_t model_channels,
              Range own) {
    if (m_made && m_all_own == own && m_model_channels == model_channels && std::ranges::equal(channels, m_channels))
      return false;
    if (!channels.empty()) require_channels("Image", channels, model_channels);
    m_channels.assign(channels.begin(), channels.end());
    m_model_channels = model_channels;
    m_all_own = own;
    m_present = m_channels;
    if (channels.empty()) { // all
      m_present.resize(model_channels);
      std::iota(m_present.begin(), m_present.end(), std::size_t{0});
    }

    m_own.clear();
    for (auto c : m_present)
      if (own.contains(c)) m_own.push_back(c - own.begin);
    std::vector<std::size_t> planes(m_own.size()); // of this rank, in the order of their channels
    std::iota(planes.begin(), planes.end(), std::size_t{0});
    std::ranges::sort(planes, {}, [&](std::size_t plane) { return m_own[plane]; });
    std::ranges::sort(m_own);
    std::ranges::sort(m_present);

    m_runs.clear();
    for (std::size_t token = 0; token < m_own.size(); ++token) {
      if (token > 0 && m_own[token] == m_own[token - 1] + 1)
        ++m_runs.back().count;
      else
        m_runs.push_back({token, m_own[token], 1});
    }
    m_device_planes = to_device(exec, planes);
    m_device_channels = to_device(exec, m_own);
    m_made = true;
    return true;
  }

  std::size_t tokens() const { return m_own.size(); }
  std::vector<std::size_t> const& own() const { return m_own; } ///< channel of each token, from the rank's first
  std::vector<std::size_t> const& present() const { return m_present; } ///< the model's present channels, ascending
  std::vector<Run> const& runs() const { return m_runs; }
  Index const& device_planes() const { return m_device_planes; }     ///< (tokens)
  Index const& device_channels() const { return m_device_channels; } ///< (tokens), own() on the device

  static Index to_device(ExecutionSpace const& exec, std::vector<std::size_t> const& list) {
    auto const device = allocate<std::size_t>(exec, "dchag::channels::index", Extents<1>{list.size()});
    auto const host = Kokkos::create_mirror_view(device);
    std::ranges::copy(list, host.data());
    Kokkos::deep_copy(exec, device, host);
    exec.fence();
    return device;
  }

private:
  bool m_made = false;
  std::size_t m_model_channels = 0;
  Range m_all_own;
  std::vector<std::size_t> m_channels; // the list as it was given
  std::vector<std::size_t> m_present;
  std::vector<std::size_t> m_own;
  std::vector<Run> m_runs;
  Index m_device_planes;
  Index m_device_channels;
};

} // namespace dchag
