// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/workspace.hpp>
#include <dchag/layers/parameter.hpp>

namespace dchag {

/// What every layer offers, here for one that maps `Input` to `Output`.
///
/// `forward` writes to `output` and keeps in `context` what the backward pass needs; a context that is used again with
/// the same sizes allocates nothing. `backward` overwrites `d_input` (or skips it for `no_gradient`) and adds to the
/// parameters' gradients; it must not overlap `d_output` unless the layer says so. Input, output and context must be
/// unchanged between the two. Scratch comes from the workspace; a step with the same sizes again allocates no View.
template <class L, class ExecutionSpace, class Input, class Output>
concept Layer = HasParameters<L> && KokkosExecutionSpace<ExecutionSpace> &&
    requires(L& layer, Workspace<ExecutionSpace>& workspace, typename L::Context& context, Input const& input,
             Output const& output) {
  typename L::value_type;
  layer.forward(workspace, context, input, output);
  layer.backward(workspace, context, input, output, input);
  layer.backward(workspace, context, input, output, no_gradient);
};

/// The context of layers that need none beyond their input.
struct NoContext {};

} // namespace dchag
