// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/comm/collectives.hpp>
#include <dchag/core/parallel.hpp>
#include <dchag/core/workspace.hpp>
#include <dchag/ops/pooling_weights.hpp>

#include <limits>

namespace dchag::detail {

// parts[n] = (o[n, h] z exp(t - t*), z exp(t - t*)), with z = sum and t = maximum of this rank, t* of all
template <class ExecutionSpace, class Matrix>
void unnormalise(ExecutionSpace const& exec, Matrix const& o, Matrix const& sum, Matrix const& own_maximum,
                 Matrix const& maximum, Matrix const& parts) {
  std::size_t const D = o.extent(1);
  std::size_t const heads = sum.extent(1);
  for_each_element(
      exec, "dchag::channels::unnormalise", o.extent(0), heads, KOKKOS_LAMBDA(std::size_t n, std::size_t h) {
        std::size_t const d = D / heads;
        auto const part = sum(n, h) * math::exp(own_maximum(n, h) - maximum(n, h));
        parts(n, D + h) = part;
        for (std::size_t j = h * d; j < (h + 1) * d; ++j) parts(n, j) = o(n, j) * part;
      });
}

// o[n, h] = parts[n, h] / z*, sum = z*
template <class ExecutionSpace, class Matrix>
void normalise(ExecutionSpace const& exec, Matrix const& parts, Matrix const& o, Matrix const& sum) {
  std::size_t const D = o.extent(1);
  std::size_t const heads = sum.extent(1);
  for_each_element(
      exec, "dchag::channels::normalise", o.extent(0), heads, KOKKOS_LAMBDA(std::size_t n, std::size_t h) {
        std::size_t const d = D / heads;
        auto const total = parts(n, D + h);
        sum(n, h) = total;
        for (std::size_t j = h * d; j < (h + 1) * d; ++j) o(n, j) = parts(n, j) / total;
      });
}

/// a[n, h, c] *= z exp(t - t*) / z*: the weights among a rank's own tokens become those among all ranks'.
template <class ExecutionSpace, class Weights, class Matrix>
void rescale_weights(ExecutionSpace const& exec, Weights const& a, Matrix const& own_maximum, Matrix const& own_sum,
                     Matrix const& maximum, Matrix const& sum) {
  std::size_t const tokens = a.extent(2);
  for_each_element(
      exec, "dchag::channels::rescale_weights", a.extent(0), a.extent(1), KOKKOS_LAMBDA(std::size_t n, std::size_t h) {
        auto const factor = own_sum(n, h) * math::exp(own_maximum(n, h) - maximum(n, h)) / sum(n, h);
        for (std::size_t c = 0; c < tokens; ++c) a(n, h, c) *= factor;
      });
}

/// What a rank without tokens brings to `merge_softmax`.
template <KokkosExecutionSpace ExecutionSpace, Scalar T>
void pool_nothing(ExecutionSpace const& exec, ops::Pooled<ExecutionSpace, T> const& pooled) {
  Kokkos::deep_copy(exec, pooled.o, T(0));
  Kokkos::deep_copy(exec, pooled.sum, T(0));
  Kokkos::deep_copy(exec, pooled.maximum, std::numeric_limits<T>::lowest());
}

/// What each rank pooled of its own tokens becomes what one rank would have pooled of all: softmax partials merge.
///
/// `own_maximum` (N, h) becomes the maximum of this rank alone.
/// Collective: two all-reduces, the maximum of N h numbers, then the sum of N (D + h). One rank does nothing.
/// Source: own; the merging of partial softmaxes as in FlashAttention's split form (Dao 2023).
template <KokkosExecutionSpace ExecutionSpace, Scalar T>
void merge_softmax(Workspace<ExecutionSpace>& workspace, comm::Communicator const& communicator,
                   ops::Pooled<ExecutionSpace, T> const& pooled, Tensor<ExecutionSpace, T, 2> const& own_maximum) {
  if (communicator.size() == 1) return;
  auto const& exec = workspace.exec();
  std::size_t const N = pooled.o.extent(0);
  auto frame = workspace.frame();
  auto const parts = frame.template take<T, 2>({N, pooled.o.extent(1) + pooled.sum.extent(1)});
  Kokkos::deep_copy(exec, own_maximum, pooled.maximum);
  comm::all_reduce(exec, communicator, pooled.maximum, comm::Reduce::max);
  unnormalise(exec, pooled.o, pooled.sum, own_maximum, pooled.maximum, parts);
  comm::all_reduce(exec, communicator, parts, comm::Reduce::sum);
  normalise(exec, parts, pooled.o, pooled.sum);
}

/// The same for those who do not need it.
template <KokkosExecutionSpace ExecutionSpace, Scalar T>
void merge_softmax(Workspace<ExecutionSpace>& workspace, comm::Communicator const& communicator,
                   ops::Pooled<ExecutionSpace, T> const& pooled) {
  if (communicator.size() == 1) return;
  auto frame = workspace.frame();
  merge_softmax(workspace, communicator, pooled, frame.template take<T, 2>(extents_of(pooled.maximum)));
}

} // namespace dchag::detail
