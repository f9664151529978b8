// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/parallel.hpp>

namespace dchag::detail {

// y[n] = beta + sum over i of w[members[i]] x[i, n]
template <class ExecutionSpace, class X, class Index, class W, class Y>
void weighted_sum(ExecutionSpace const& exec, X const& x, Index const& members, W const& w, W const& beta, Y const& y) {
  using Worker = Team<ExecutionSpace>;
  std::size_t const M = x.extent(0);
  std::size_t const D = x.extent(2);
  for_each_team(
      exec, "dchag::channels::weighted_sum", x.extent(1), KOKKOS_LAMBDA(Worker const& team, std::size_t n) {
        team.for_each(D, [&](std::size_t j) { y(n, j) = beta(0); });
        for (std::size_t i = 0; i < M; ++i) {
          auto const weight = w(members(i));
          team.for_each(D, [&](std::size_t j) { y(n, j) += weight * x(i, n, j); });
        }
      });
}

// d_w[members[i]] += <x[i], d_y>
template <class ExecutionSpace, class X, class Index, class DY, class DW>
void weighted_sum_weight_gradients(ExecutionSpace const& exec, X const& x, Index const& members, DY const& d_y,
                                   DW const& d_w) {
  using T = typename DW::value_type;
  using Worker = Team<ExecutionSpace>;
  std::size_t const N = x.extent(1);
  std::size_t const D = x.extent(2);
  for_each_team(
      exec, "dchag::channels::weighted_sum_weights", x.extent(0), KOKKOS_LAMBDA(Worker const& team, std::size_t i) {
        double total = 0; // rows are summed in T, their sums in double: N D may be in the millions
        for (std::size_t n = 0; n < N; ++n)
          total += static_cast<double>(team.template sum<T>(D, [&](std::size_t j) { return x(i, n, j) * d_y(n, j); }));
        team.once([&] { d_w(members(i)) += static_cast<T>(total); });
      });
}

// d_x[i - begin, n] = w[members[i]] d_y[n] for the wanted i
template <class ExecutionSpace, class Index, class W, class DY, class DX>
void weighted_sum_input_gradients(ExecutionSpace const& exec, std::size_t begin, Index const& members, W const& w,
                                  DY const& d_y, DX const& d_x) {
  std::size_t const N = d_x.extent(1);
  for_each_element(
      exec, "dchag::channels::weighted_sum_inputs", d_x.extent(0) * N, d_x.extent(2),
      KOKKOS_LAMBDA(std::size_t row, std::size_t j) {
        d_x(row / N, row % N, j) = w(members(begin + row / N)) * d_y(row % N, j);
      });
}

// d_beta += sum of d_y
template <class ExecutionSpace, class DY, class DBeta>
void add_total(ExecutionSpace const& exec, DY const& d_y, DBeta const& d_beta) {
  using T = typename DBeta::value_type;
  using Worker = Team<ExecutionSpace>;
  std::size_t const N = d_y.extent(0);
  std::size_t const D = d_y.extent(1);
  for_each_team(
      exec, "dchag::channels::add_total", 1, KOKKOS_LAMBDA(Worker const& team, std::size_t) {
        double total = 0;
        for (std::size_t n = 0; n < N; ++n)
          total += static_cast<double>(team.template sum<T>(D, [&](std::size_t j) { return d_y(n, j); }));
        team.once([&] { d_beta(0) += static_cast<T>(total); });
      });
}

} // namespace dchag::detail
