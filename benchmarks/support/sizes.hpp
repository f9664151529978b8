// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/tensor.hpp>

#include <array>

namespace dchag::bench {

/// The sizes of an aggregation: N = samples * positions.
struct Sizes {
  char const* name; // "small": what the dry run takes
  std::size_t samples;
  std::size_t edge; // height of the image, in patches
  std::size_t channels, width, heads, patch;
  std::size_t aspect = 1; // width of the image by its height

  std::size_t positions() const { return edge * edge * aspect; }
  std::size_t rows() const { return samples * positions(); }
  std::size_t pixels() const { return patch * patch; }
  std::string label() const {
    return concat("N ", rows(), " C ", channels, " D ", width, " h ", heads, " s ", pixels());
  }
};

inline constexpr std::array all_sizes{Sizes{"small", 2, 2, 16, 32, 4, 2}, Sizes{"p8", 2, 16, 64, 768, 12, 8},
                                      Sizes{"p4", 2, 16, 128, 768, 12, 4}, Sizes{"p16", 2, 16, 64, 1024, 16, 16},
                                      Sizes{"many", 1, 16, 1024, 768, 12, 4}};

/// An image (B, planes, H, W) of numbers that differ from each other.
template <class ExecutionSpace, class T>
Tensor<ExecutionSpace, T, 4> make_image(Sizes const& sizes, std::size_t planes) {
  std::size_t const edge = sizes.edge * sizes.patch;
  auto const image = allocate<T>(ExecutionSpace(), "dchag::bench::image",
                                 Extents<4>{sizes.samples, planes, edge, edge * sizes.aspect});
  auto const host = Kokkos::create_mirror_view(image);
  for (std::size_t i = 0; i < host.size(); ++i) host.data()[i] = static_cast<T>(i % 1009) / T(1009) - T(0.5);
  Kokkos::deep_copy(image, host);
  return image;
}

} // namespace dchag::bench
