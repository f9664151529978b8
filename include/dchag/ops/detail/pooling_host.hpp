// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// \file
/// The passes of the fused attention pooling on a host. Images come by their strides (`by_strides`), so that what is
/// here is compiled once for all of them.

#include <dchag/core/compiled.hpp>
#include <dchag/ops/detail/pooling_lanes_pixels.hpp>
#include <dchag/ops/detail/pooling_lanes_tokens.hpp>

namespace dchag::ops::detail {

/// Shapes: as `fused_pooling_forward`; carries out `plan`.
template <KokkosExecutionSpace ExecutionSpace, Scalar T, class Source>
void pooling_on_host_forward(Workspace<ExecutionSpace>& workspace, PoolingPlan const& plan, Source const& patches,
                             PoolingWeights<ExecutionSpace, T> const& weights, Pooled<ExecutionSpace, T> const& pooled,
                             Tensor<ExecutionSpace, T, 3> const& folded) {
  auto frame = workspace.frame();
  LanePooling<ExecutionSpace, T, Source> problem(workspace.exec(), patches, weights);
  problem.fold_keys(frame);
  if (plan.values == Values::pixels)
    lane_pixels_forward(workspace, plan.tile, problem, rows(folded), pooled);
  else
    lane_tokens_forward(workspace, plan.tile, problem, pooled);
}

/// Shapes: as `fused_pooling_backward`; d_patches have no image where its gradient is not wanted.
template <KokkosExecutionSpace ExecutionSpace, Scalar T, class Source, class DSource>
void pooling_on_host_backward(Workspace<ExecutionSpace>& workspace, PoolingPlan const& plan, Source const& patches,
                              PoolingWeights<ExecutionSpace, T> const& weights, Pooled<ExecutionSpace, T> const& pooled,
                              Tensor<ExecutionSpace, T, 2> const& d_o, Tensor<ExecutionSpace, T, 2> const& delta,
                              PoolingWeights<ExecutionSpace, T> const& d_weights, DSource const& d_patches) {
  auto frame = workspace.frame();
  LanePooling<ExecutionSpace, T, Source> problem(workspace.exec(), patches, weights);
  problem.fold_keys(frame);
  if (plan.values == Values::pixels)
    LanePixelsBackward<ExecutionSpace, T, Source, DSource>(frame, plan.tile, problem, pooled, d_o, delta, d_weights,
                                                           d_patches)
        .run();
  else
    LaneTokensBackward<ExecutionSpace, T, Source, DSource>(frame, plan.tile, problem, pooled, d_o, delta, d_weights,
                                                           d_patches)
        .run();
}

#define DCHAG_KERNELS_OF(ExecutionSpace, T)                                                                            \
  DCHAG_KERNEL void pooling_on_host_forward(Workspace<ExecutionSpace>&, PoolingPlan const&,                            \
                                            HostPatches<T const> const&, PoolingWeights<ExecutionSpace, T> const&,     \
                                            Pooled<ExecutionSpace, T> const&, Tensor<ExecutionSpace, T, 3> const&);    \
  DCHAG_KERNEL void pooling_on_host_backward(                                                                          \
      Workspace<ExecutionSpace>&, PoolingPlan const&, HostPatches<T const> const&,                                     \
      PoolingWeights<ExecutionSpace, T> const&, Pooled<ExecutionSpace, T> const&, Tensor<ExecutionSpace, T, 2> const&, \
      Tensor<ExecutionSpace, T, 2> const&, PoolingWeights<ExecutionSpace, T> const&, HostPatches<T> const&);
DCHAG_COMPILED(DCHAG_KERNELS_OF)
#undef DCHAG_KERNELS_OF

} // namespace dchag::ops::detail
