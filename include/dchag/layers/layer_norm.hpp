// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/number.hpp>
#include <dchag/layers/layer.hpp>
#include <dchag/ops/layer_norm.hpp>

namespace dchag::layers {

/// What layer norms add to the variance unless they are told otherwise: PyTorch's default. The ViTs of timm have 1e-6.
inline constexpr double default_norm_epsilon = 1e-5;

/// Layer normalisation over the last axis.
///
/// Shapes: x, y (..., width), d_input may be d_output; parameters `<name>.scale`, `<name>.shift` (width).
template <KokkosExecutionSpace ExecutionSpace, Scalar T>
class LayerNorm {
public:
  using value_type = T;

  struct Context {
    Tensor<ExecutionSpace, T, 1> mean; // (N)
    Tensor<ExecutionSpace, T, 1> rstd; // (N)
  };

  /// `partial_gradient`: each rank of tensor parallelism sees rows of its own (see `ParameterSpec`). `epsilon` is added
  /// to the variance. Throws: ShapeError unless it is above 0, as a T, and at most 1.
  LayerNorm(ExecutionSpace const& exec, std::string const& name, std::size_t width, bool partial_gradient = false,
            double epsilon = default_norm_epsilon)
      : m_epsilon(checked(name, epsilon)),
        m_scale(exec, {.name = name + ".scale", .shape = {width}, .partial_gradient = partial_gradient},
                initial::constant(1)),
        m_shift(exec, {.name = name + ".shift", .shape = {width}, .partial_gradient = partial_gradient},
                initial::constant(0)) {}

  template <class X, class Y>
  void forward(Workspace<ExecutionSpace>& workspace, Context& context, X const& x, Y const& y) const {
    std::size_t const N = rows(x).extent(0);
    reserve(workspace.exec(), context.mean, "dchag::layers::layer_norm_mean", Extents<1>{N});
    reserve(workspace.exec(), context.rstd, "dchag::layers::layer_norm_rstd", Extents<1>{N});
    ops::layer_norm_forward(workspace.exec(), rows(x), m_scale.values(), m_shift.values(), m_epsilon, rows(y),
                            context.mean, context.rstd);
  }

  template <class X, class DY, class DX>
  void backward(Workspace<ExecutionSpace>& workspace, Context const& context, X const& x, DY const& d_y,
                DX const& d_x) const {
    if constexpr (is_wanted<DX>) {
      ops::layer_norm_backward(workspace.exec(), rows(x), m_scale.values(), context.mean, context.rstd, rows(d_y),
                               m_scale.gradients(), m_shift.gradients(), rows(d_x));
    } else {
      auto frame = workspace.frame();
      auto const unwanted = frame.template take<T, 2>(extents_of(rows(x)));
      backward(workspace, context, x, d_y, unwanted);
    }
  }

  template <class F>
  void for_each_parameter(F const& f) {
    f(m_scale);
    f(m_shift);
  }

private:
  static T checked(std::string const& name, double epsilon) {
    auto const rounded = static_cast<T>(epsilon);
    require(math::is_finite(rounded) && rounded > 0 && rounded <= 1, "LayerNorm: '", name, "' has epsilon ", epsilon,
            ", expected above 0 and at most 1");
    return rounded;
  }

  T m_epsilon;
  Parameter<ExecutionSpace, T> m_scale;
  Parameter<ExecutionSpace, T> m_shift;
};

} // namespace dchag::layers
