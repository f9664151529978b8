// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/check.hpp>
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

  KOKKOS_FUNCTION typename ImageView::reference_type operator()(std::size_t c, std::size_t n, std::size_t k) const {
    std::size_t const b = n / positions_per_sample();
    std::size_t const kept = n % positions_per_sample();
    std::size_t const l = positions.data() ? positions(b, kept) : kept;
    return image(b, planes.data() ? planes(c) : c, l / grid_columns() * patch + k / patch,
                 l % grid_columns() * patch + k % patch);
  }
};

/// out[c, n, k] = patches(c, n, k).
///
/// Shapes: out (C, N, s).
template <KokkosExecutionSpace ExecutionSpace, class Source, TensorView<3> Out>
void gather_patches(ExecutionSpace const& exec, Source const& patches, Out const& out) {
  std::size_t const N = patches.count();
  std::size_t const s = patches.pixels();
  require_shape("gather_patches", "out", out, {patches.channels(), N, s});
  for_each_element(
      exec, "dchag::ops::gather_patches", patches.channels() * N, s,
      KOKKOS_LAMBDA(std::size_t row, std::size_t k) { out(row / N, row % N, k) = patches(row / N, row % N, k); });
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
  for_each_element(
      exec, "dchag::ops::scatter_patches", d_patches.channels() * N, s, KOKKOS_LAMBDA(std::size_t row, std::size_t k) {
        d_patches(row / N, row % N, k) = d_tokens(row / N, row % N, k);
      });
}

} // namespace dchag::ops
