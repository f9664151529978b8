// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/check.hpp>
#include <dchag/core/number.hpp>
#include <dchag/core/random.hpp>

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <vector>

namespace dchag {

/// Which patch positions of each sample a masked autoencoder may see. The same for every number of ranks.
///
/// Shapes: visible (B, kept), ascending; visible_index (B kept), the same list flat; source (B L), the row among the
/// visible ones of each position, or B kept where it is hidden; weight (B L), 1 where the loss counts; all (B L), the
/// positions themselves.
template <KokkosExecutionSpace ExecutionSpace, Scalar T>
class PositionMask {
public:
  using Index = Tensor<ExecutionSpace, std::size_t, 1>;

  /// Where the loss counts.
  enum class Loss { hidden, everywhere };

  /// Hides `ratio` of the positions of each sample, chosen by (seed, draw, sample): the kept count is L (1 - ratio),
  /// rounded, at least 1. Where ranks share the samples of a batch, `first_sample` says which of all is this rank's
  /// first.
  /// Throws: ShapeError unless 0 <= ratio < 1 and, if only hidden positions count, at least one is hidden.
  void draw(ExecutionSpace const& exec, std::size_t samples, std::size_t positions, double ratio, Loss loss,
            std::uint64_t seed, std::uint64_t draw_number, std::size_t first_sample = 0) {
    require(math::is_finite(ratio) && 0 <= ratio && ratio < 1, "PositionMask: mask ratio ", ratio,
            ", expected 0 <= ratio < 1");
    require(samples > 0 && positions > 0, "PositionMask: ", samples, " samples of ", positions,
            " positions, expected at least one each");
    auto const rounded = static_cast<std::size_t>(std::lround(static_cast<double>(positions) * (1 - ratio)));
    std::size_t const kept = std::max<std::size_t>(rounded, 1);
    require(positions > kept || loss == Loss::everywhere, "PositionMask: mask ratio ", ratio, " of L = ", positions,
            " positions hides none, but the loss counts hidden ones only");
    Random const random(seed, "position_mask" + std::to_string(draw_number));
    std::vector<std::vector<std::size_t>> visible(samples);
    std::vector<std::pair<double, std::size_t>> order(positions);
    for (std::size_t b = 0; b < samples; ++b) {
      for (std::size_t l = 0; l < positions; ++l) order[l] = {random.uniform((first_sample + b) * positions + l), l};
      std::ranges::sort(order);
      for (std::size_t i = 0; i < kept; ++i) visible[b].push_back(order[i].second);
      std::ranges::sort(visible[b]);
    }
    set(exec, positions, visible, loss);
  }

  /// Shows exactly these positions of each sample, as many of each.
  /// Throws: ShapeError unless they are ascending, below L and as many for each sample.
  void set(ExecutionSpace const& exec, std::size_t positions, std::vector<std::vector<std::size_t>> const& visible,
           Loss loss) {
    std::size_t const B = visible.size();
    std::size_t const L = positions;
    m_positions = positions;
    require(B > 0 && !visible[0].empty(), "PositionMask: ", B,
            " samples, expected at least one with a visible position");
    std::size_t const kept = visible[0].size();
    reserve(exec, m_visible, "dchag::models::mask_visible", Extents<2>{B, kept});
    reserve(exec, m_source, "dchag::models::mask_source", Extents<1>{B * L});
    reserve(exec, m_weight, "dchag::models::mask_weight", Extents<1>{B * L});
    reserve(exec, m_all, "dchag::models::mask_all", Extents<1>{B * L});
    m_host_visible.resize(B * kept);
    m_host_source.assign(B * L, B * kept);
    m_host_weight.assign(B * L, T(1));
    m_host_all.resize(B * L);
    for (std::size_t b = 0; b < B; ++b) {
      require(visible[b].size() == kept, "PositionMask: sample ", b, " shows ", visible[b].size(),
              " positions, expected ", kept, " as the first");
      for (std::size_t i = 0; i < kept; ++i) {
        std::size_t const l = visible[b][i];
        require(l < L && (i == 0 || visible[b][i - 1] < l), "PositionMask: sample ", b, " shows position ", l,
                ", expected ascending positions below L = ", L);
        m_host_visible[b * kept + i] = l;
        m_host_source[b * L + l] = b * kept + i;
        if (loss == Loss::hidden) m_host_weight[b * L + l] = T(0);
      }
      for (std::size_t l = 0; l < L; ++l) m_host_all[b * L + l] = l;
    }
    copy(exec, m_host_visible, m_visible);
    copy(exec, m_host_source, m_source);
    copy(exec, m_host_weight, m_weight);
    copy(exec, m_host_all, m_all);
    exec.fence();
  }

  Tensor<ExecutionSpace, std::size_t, 2> const& visible() const { return m_visible; }
  /// The visible positions of a sample, on the host.
  std::span<std::size_t const> host_visible(std::size_t sample) const {
    return std::span(m_host_visible).subspan(sample * kept(), kept());
  }
  Index visible_index() const { return reshape<1>(m_visible, {m_visible.size()}); }
  Index const& source() const { return m_source; }
  Tensor<ExecutionSpace, T, 1> const& weight() const { return m_weight; }
  Index const& all() const { return m_all; }
  std::size_t samples() const { return m_visible.extent(0); }
  std::size_t kept() const { return m_visible.extent(1); }
  std::size_t positions() const { return m_positions; }

private:
  template <class V, class View>
  static void copy(ExecutionSpace const& exec, std::vector<V> const& host, View const& device) {
    using Unmanaged = Kokkos::View<V const*, Kokkos::HostSpace, Kokkos::MemoryTraits<Kokkos::Unmanaged>>;
    Kokkos::deep_copy(exec, reshape<1>(device, {device.size()}), Unmanaged(host.data(), host.size()));
  }

  Tensor<ExecutionSpace, std::size_t, 2> m_visible;
  std::size_t m_positions = 0;
  Index m_source, m_all;
  Tensor<ExecutionSpace, T, 1> m_weight;
  std::vector<std::size_t> m_host_visible, m_host_source, m_host_all;
  std::vector<T> m_host_weight;
};

} // namespace dchag
