// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// \file
/// What both realisations of the fused sum do besides their products: vectors of length D and C.

#include <dchag/core/parallel.hpp>
#include <dchag/core/workspace.hpp>
#include <dchag/ops/patch_embedding.hpp>

namespace dchag::ops::detail {

/// Columns that a worker holds sums of: neighbouring threads of a device read neighbouring columns.
template <class ExecutionSpace>
inline constexpr std::size_t sum_strip = runs_on_host<ExecutionSpace> ? 64 : 1;

/// offsets[j] = beta + sum over i of w[members[i]] (bias[k, j] + embedding[k, j]), k = channels[i].
///
/// Shapes: offsets (D).
template <class ExecutionSpace, class T, class W, class Index>
void sum_offsets(ExecutionSpace const& exec, PatchEmbedding<ExecutionSpace, T> const& embedding, W const& w,
                 W const& beta, Index const& members, Tensor<ExecutionSpace, T, 1> const& offsets) {
  constexpr std::size_t strip = sum_strip<ExecutionSpace>;
  std::size_t const D = embedding.width();
  std::size_t const C = embedding.tokens();
  Kokkos::parallel_for(
      "dchag::ops::fused_sum_offsets",
      Kokkos::RangePolicy<ExecutionSpace, Kokkos::IndexType<std::size_t>>(exec, 0, (D + strip - 1) / strip),
      KOKKOS_LAMBDA(std::size_t task) {
        std::size_t const begin = task * strip;
        std::size_t const count = (math::min)(strip, D - begin);
        double total[strip] = {}; // C may be in the thousands
        for (std::size_t i = 0; i < C; ++i) {
          std::size_t const k = embedding.channels(i);
          T const weight = w(members(i));
          for (std::size_t j = 0; j < count; ++j)
            total[j] +=
                static_cast<double>(weight * (embedding.bias(k, begin + j) + embedding.embedding(k, begin + j)));
        }
        for (std::size_t j = 0; j < count; ++j) offsets(begin + j) = static_cast<T>(total[j]) + beta(0);
      });
}

/// y[n] = offsets.
template <class ExecutionSpace, class Offsets, class Y>
void fill_with_offsets(ExecutionSpace const& exec, Offsets const& offsets, Y const& y) {
  for_each_element(
      exec, "dchag::ops::fused_sum_fill", y.extent(0), y.extent(1),
      KOKKOS_LAMBDA(std::size_t n, std::size_t j) { y(n, j) = offsets(j); });
}

inline constexpr std::size_t rows_of_partial_total = 64;

/// partial[block, j] = the sum over the block's rows n of d_y[n, j].
///
/// Shapes: partial (N / rows_of_partial_total, rounded up, D).
template <class ExecutionSpace, class DY, class Partial>
void partial_column_totals(ExecutionSpace const& exec, DY const& d_y, Partial const& partial) {
  using T = typename DY::non_const_value_type;
  using Worker = Team<ExecutionSpace>;
  std::size_t const N = d_y.extent(0);
  std::size_t const D = d_y.extent(1);
  for_each_team(
      exec, "dchag::ops::fused_sum_partial_totals", partial.extent(0),
      KOKKOS_LAMBDA(Worker const& team, std::size_t block) {
        constexpr std::size_t strip = sum_strip<ExecutionSpace>;
        std::size_t const first = block * rows_of_partial_total;
        std::size_t const last = (math::min)(N, first + rows_of_partial_total);
        team.for_each((D + strip - 1) / strip, [&](std::size_t task) {
          std::size_t const begin = task * strip;
          std::size_t const count = (math::min)(strip, D - begin);
          T total[strip] = {};
          for (std::size_t n = first; n < last; ++n)
            for (std::size_t j = 0; j < count; ++j) total[j] += d_y(n, begin + j);
          for (std::size_t j = 0; j < count; ++j) partial(block, begin + j) = static_cast<double>(total[j]);
        });
      });
}

/// totals[j] = sum over blocks of partial[block, j].
template <class ExecutionSpace>
void add_partial_totals(ExecutionSpace const& exec, Tensor<ExecutionSpace, double, 2> const& partial,
                        Tensor<ExecutionSpace, double, 1> const& totals) {
  std::size_t const blocks = partial.extent(0);
  Kokkos::parallel_for(
      "dchag::ops::fused_sum_totals",
      Kokkos::RangePolicy<ExecutionSpace, Kokkos::IndexType<std::size_t>>(exec, 0, totals.extent(0)),
      KOKKOS_LAMBDA(std::size_t j) {
        double total = 0;
        for (std::size_t block = 0; block < blocks; ++block) total += partial(block, j);
        totals(j) = total;
      });
}

/// totals[j] = sum over n of d_y[n, j], in double: N D may be in the millions.
template <class ExecutionSpace, class DY>
void column_totals(Workspace<ExecutionSpace>& workspace, DY const& d_y,
                   Tensor<ExecutionSpace, double, 1> const& totals) {
  auto frame = workspace.frame();
  std::size_t const blocks = (d_y.extent(0) + rows_of_partial_total - 1) / rows_of_partial_total;
  auto const partial = frame.template take<double, 2>({blocks, d_y.extent(1)});
  partial_column_totals(workspace.exec(), d_y, partial);
  add_partial_totals(workspace.exec(), partial, totals);
}

/// d_w[members[i]] += sum over parts of partial[i, part];  d_beta += sum over j of totals[j].
///
/// Shapes: partial (C, parts), totals (D).
template <class ExecutionSpace, class Index, class DW>
void add_weight_gradients(ExecutionSpace const& exec, Tensor<ExecutionSpace, double, 2> const& partial,
                          Tensor<ExecutionSpace, double, 1> const& totals, Index const& members, DW const& d_w,
                          DW const& d_beta) {
  using T = typename DW::value_type;
  using Worker = Team<ExecutionSpace>;
  std::size_t const C = partial.extent(0);
  for_each_team(
      exec, "dchag::ops::fused_sum_weights", C + 1, KOKKOS_LAMBDA(Worker const& team, std::size_t i) {
        std::size_t const count = i < C ? partial.extent(1) : totals.extent(0);
        double const total =
            team.template sum<double>(count, [&](std::size_t j) { return i < C ? partial(i, j) : totals(j); });
        team.once([&] { (i < C ? d_w(members(i)) : d_beta(0)) += static_cast<T>(total); });
      });
}

} // namespace dchag::ops::detail
