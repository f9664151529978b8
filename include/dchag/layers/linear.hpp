// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/layers/layer.hpp>
#include <dchag/ops/linear.hpp>

#include <cmath>

namespace dchag::layers {

/// y = x W^T + b.
///
/// Shapes: x (..., inputs) -> y (..., outputs); parameters `<name>.weight` (outputs, inputs) and, if wanted,
/// `<name>.bias` (outputs).
/// Source: weights start truncated normal with deviation sqrt(2 / (inputs + outputs)) (Glorot and Bengio 2010, as MAE):
/// 0.022 at the published width of 2048, where the published constant is 0.02, and larger where the width is smaller.
template <KokkosExecutionSpace ExecutionSpace, Scalar T>
class Linear {
public:
  using value_type = T;
  using Context = NoContext;

  struct Config {
    std::size_t inputs;
    std::size_t outputs;
    bool bias = true;
    Placement placement = Placement::replicated;
  };

  Linear(ExecutionSpace const& exec, std::string const& name, Config const& config, std::uint64_t seed)
      : m_weight(exec,
                 {.name = name + ".weight",
                  .shape = {checked(name, config).outputs, config.inputs},
                  .decay = true,
                  .placement = config.placement},
                 initial::truncated_normal(seed, name + ".weight",
                                           std::sqrt(2.0 / static_cast<double>(config.inputs + config.outputs)))),
        m_has_bias(config.bias) {
    if (m_has_bias)
      m_bias = Parameter<ExecutionSpace, T>(
          exec, {.name = name + ".bias", .shape = {config.outputs}, .placement = config.placement},
          initial::constant(0));
  }

  template <class X, class Y>
  void forward(Workspace<ExecutionSpace>& workspace, Context&, X const& x, Y const& y) const {
    ops::linear_forward(workspace.exec(), rows(x), weight(), rows(y));
    if (m_has_bias) ops::add_bias(workspace.exec(), m_bias.values(), rows(y));
  }

  template <class X, class DY, class DX>
  void backward(Workspace<ExecutionSpace>& workspace, Context const&, X const& x, DY const& d_y, DX const& d_x) const {
    auto const d_weight = m_weight.template gradient<2>();
    if constexpr (is_wanted<DX>)
      ops::linear_backward(workspace.exec(), rows(x), weight(), rows(d_y), d_weight, rows(d_x));
    else
      ops::linear_backward(workspace.exec(), rows(x), weight(), rows(d_y), d_weight, no_gradient);
    if (m_has_bias) ops::add_column_sums(workspace.exec(), rows(d_y), m_bias.gradients());
  }

  /// W (outputs, inputs).
  Tensor<ExecutionSpace, T, 2> weight() const { return m_weight.template value<2>(); }
  Tensor<ExecutionSpace, T, 2> weight_gradient() const { return m_weight.template gradient<2>(); }

  /// b (outputs), if there is one.
  bool has_bias() const { return m_has_bias; }
  Tensor<ExecutionSpace, T, 1> bias() const { return m_bias.values(); }
  Tensor<ExecutionSpace, T, 1> bias_gradient() const { return m_bias.gradients(); }

  template <class F>
  void for_each_parameter(F const& f) {
    f(m_weight);
    if (m_has_bias) f(m_bias);
  }

private:
  static Config const& checked(std::string const& name, Config const& config) {
    require(config.inputs > 0 && config.outputs > 0, "Linear: '", name, "' maps ", config.inputs, " to ",
            config.outputs, " features, expected at least 1 each");
    return config;
  }

  Parameter<ExecutionSpace, T> m_weight;
  Parameter<ExecutionSpace, T> m_bias;
  bool m_has_bias;
};

} // namespace dchag::layers
