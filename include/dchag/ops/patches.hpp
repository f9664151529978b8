// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/check.hpp>
#include <dchag/core/compiled.hpp>
#include <dchag/core/parallel.hpp>

namespace dchag::ops {

/// An image read as patches without a copy: element (c, n, k) is pixel k of the patch at position n of channel c.
///
/// Shapes: image (B, planes, H, W) of any layout; (c, n, k) runs over (C, N, s), with s = p * p, N = B * positions per
/// sample. `planes` (C) names the image plane of each channel; empty: plane c. `positions` (B, kept) lists which of a
/// sample's L = (H / p)(W / p) positions are read; empty: all, in row-major order.
template <class ImageView, class IndexSpace>
struct Patches {
  using value_type = typename ImageView::non_const_value_type;

  ImageView image;
  std::size_t patch;
  Kokkos::View<std::size_t const*, Kokkos::LayoutRight, IndexSpace> planes;
  Kokkos::View<std::size_t const**, Kokkos::LayoutRight, IndexSpace> positions;

  std::size_t channels() const { return planes.data() ? planes.extent(0) : image.extent(1); }
  KOKKOS_FUNCTION std::size_t grid_columns() const { return image.extent(3) / patch; }
  KOKKOS_FUNCTION std::size_t positions_per_sample() const {
    return positions.data() ? positions.extent(1) : image.extent(2) / patch * grid_columns();
  }
  std::size_t count() const { return image.extent(0) * positions_per_sample(); }
  std::size_t pixels() const { return patch * patch; }

  /// Sample, and upper left pixel, of the patch at position n: what it takes divisions to find.
  struct Origin {
    std::size_t sample, row, column;
  };
  KOKKOS_FUNCTION Origin origin(std::size_t n) const {
    std::size_t const b = n / positions_per_sample();
    std::size_t const kept = n % positions_per_sample();
    std::size_t const l = positions.data() ? positions(b, kept) : kept;
    KOKKOS_ASSERT(l < image.extent(2) / patch * grid_columns());
    return {b, l / grid_columns() * patch, l % grid_columns() * patch};
  }
  KOKKOS_FUNCTION std::size_t plane(std::size_t c) const { return planes.data() ? planes(c) : c; }
  KOKKOS_FUNCTION typename ImageView::reference_type operator()(std::size_t c, std::size_t n, std::size_t k) const {
    auto const [b, row, column] = origin(n);
    return image(b, plane(c), row + k / patch, column + k % patch);
  }

  /// Calls f(k, pixel) for the pixels of a patch of channel c.
  template <class F>
  KOKKOS_FUNCTION void for_each_pixel(std::size_t c, Origin const& at, F const& f) const {
    std::size_t const from = plane(c);
    for (std::size_t y = 0; y < patch; ++y)
      for (std::size_t x = 0; x < patch; ++x) f(y * patch + x, image(at.sample, from, at.row + y, at.column + x));
  }
};

/// Patches of an image that is addressed by its strides: what takes them is compiled once, not for each layout.
template <class Pixel, class ImageSpace, class IndexSpace>
using StridedPatches = Patches<Kokkos::View<Pixel****, Kokkos::LayoutStride, ImageSpace>, IndexSpace>;

template <class Pixel>
using HostPatches = StridedPatches<Pixel, Kokkos::HostSpace, Kokkos::HostSpace>;

/// The same patches, to be read.
template <class View, class IndexSpace>
StridedPatches<typename View::const_value_type, typename View::memory_space, IndexSpace>
by_strides(Patches<View, IndexSpace> const& patches) {
  return {patches.image, patches.patch, patches.planes, patches.positions};
}

/// Where the gradient of the pixels of `patches` goes. `no_gradient` becomes patches without an image, so that both
/// cases are compiled as one.
template <class View, class IndexSpace, class DView>
StridedPatches<typename DView::value_type, typename DView::memory_space, IndexSpace>
gradient_by_strides(Patches<View, IndexSpace> const& /*patches*/, Patches<DView, IndexSpace> const& d_patches) {
  return {d_patches.image, d_patches.patch, d_patches.planes, d_patches.positions};
}
template <class View, class IndexSpace>
StridedPatches<typename View::non_const_value_type, typename View::memory_space, IndexSpace>
gradient_by_strides(Patches<View, IndexSpace> const& /*patches*/, NoGradient) {
  return {};
}

namespace detail {
template <class DSource>
bool has_image(DSource const& d_patches) {
  return d_patches.image.data() != nullptr;
}
} // namespace detail

/// out[c, n, k] = patches(c, n, k).
///
/// Shapes: out (C, N, s).
template <KokkosExecutionSpace ExecutionSpace, class Source, TensorView<3> Out>
void gather_patches(ExecutionSpace const& exec, Source const& patches, Out const& out) {
  std::size_t const N = patches.count();
  std::size_t const s = patches.pixels();
  require_shape("gather_patches", "out", out, {patches.channels(), N, s});
  using Worker = Team<ExecutionSpace>;
  std::size_t const C = patches.channels();
  for_each_team(
      exec, "dchag::ops::gather_patches", N, KOKKOS_LAMBDA(Worker const& team, std::size_t n) {
        auto const origin = patches.origin(n);
        team.for_each(C, [&](std::size_t c) {
          patches.for_each_pixel(c, origin, [&](std::size_t k, auto const& pixel) { out(c, n, k) = pixel; });
        });
      });
}

/// The adjoint of `gather_patches`: d_patches(c, n, k) = d_tokens[c, n, k] for the pixels that were read. Patches do
/// not overlap, so nothing is summed; pixels that were not read are left as they are.
///
/// Shapes: d_tokens (C, N, s).
template <KokkosExecutionSpace ExecutionSpace, class Source, TensorView<3> In>
void scatter_patches(ExecutionSpace const& exec, In const& d_tokens, Source const& d_patches) {
  std::size_t const N = d_patches.count();
  std::size_t const s = d_patches.pixels();
  require_shape("scatter_patches", "d_tokens", d_tokens, {d_patches.channels(), N, s});
  using Worker = Team<ExecutionSpace>;
  std::size_t const C = d_patches.channels();
  for_each_team(
      exec, "dchag::ops::scatter_patches", N, KOKKOS_LAMBDA(Worker const& team, std::size_t n) {
        auto const origin = d_patches.origin(n);
        team.for_each(C, [&](std::size_t c) {
          d_patches.for_each_pixel(c, origin, [&](std::size_t k, auto& pixel) { pixel = d_tokens(c, n, k); });
        });
      });
}

#define DCHAG_KERNELS_OF(ExecutionSpace, T)                                                                            \
  DCHAG_KERNEL void gather_patches(ExecutionSpace const&, HostPatches<T const> const&,                                 \
                                   Tensor<ExecutionSpace, T, 3> const&);                                               \
  DCHAG_KERNEL void scatter_patches(ExecutionSpace const&, Tensor<ExecutionSpace, T, 3> const&, HostPatches<T> const&);
DCHAG_COMPILED(DCHAG_KERNELS_OF)
#undef DCHAG_KERNELS_OF

} // namespace dchag::ops
