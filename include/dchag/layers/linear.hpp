// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/layers/layer.hpp>
#include <dchag/ops/linear.hpp>

#include <cmath>

namespace dchag::layers {

/// Which of a layer's outputs or inputs are this rank's, where ranks share it; all by default.
struct Cut {
  enum class Axis { none, outputs, inputs };
  Axis axis = Axis::none;
  Range range = {};       ///< of each block of outputs, or of the inputs
  std::size_t blocks = 1; ///< the outputs are so many blocks of equal size, as queries, keys and values are three
};

/// y = x W^T + b, or of a cut layer the outputs that are this rank's, or the share of its inputs in all outputs.
///
/// Shapes: x (..., inputs) -> y (..., outputs), of a cut layer as many as the range has in each block; parameters
/// `<name>.weight` (outputs, inputs), of more than one block (blocks, outputs / blocks, inputs), and, if wanted,
/// `<name>.bias` (outputs) or (blocks, outputs / blocks).
/// Source: weights start truncated normal with deviation sqrt(2 / (inputs + outputs)) (Glorot and Bengio 2010, as MAE):
/// 0.022 at the published width of 2048, where the published constant is 0.02, and larger where the width is smaller.
template <KokkosExecutionSpace ExecutionSpace, Scalar T>
class Linear {
public:
  using value_type = T;
  using Context = NoContext;

  struct Config {
    std::size_t inputs; ///< of the whole layer
    std::size_t outputs;
    bool bias = true;
    Placement placement = Placement::replicated;
    Cut cut = {};
    Range channels = {}; ///< to which the outputs belong (see `ParameterSpec::channels`)
  };

  Linear(ExecutionSpace const& exec, std::string const& name, Config const& config, std::uint64_t seed)
      : m_inputs(config.cut.axis == Cut::Axis::inputs ? config.cut.range.size() : config.inputs),
        m_outputs(config.cut.axis == Cut::Axis::outputs ? config.cut.range.size() * config.cut.blocks : config.outputs),
        m_weight(exec, spec(name + ".weight", checked(name, config), true),
                 initial::truncated_normal(seed, name + ".weight",
                                           std::sqrt(2.0 / static_cast<double>(config.inputs + config.outputs)))),
        m_has_bias(config.bias) {
    if (m_has_bias)
      m_bias = Parameter<ExecutionSpace, T>(exec, spec(name + ".bias", config, false), initial::constant(0));
  }

  template <class X, class Y>
  void forward(Workspace<ExecutionSpace>& workspace, Context&, X const& x, Y const& y) const {
    ops::linear_forward(workspace.exec(), rows(x), weight(), rows(y));
    if (m_has_bias) ops::add_bias(workspace.exec(), m_bias.values(), rows(y));
  }

  template <class X, class DY, class DX>
  void backward(Workspace<ExecutionSpace>& workspace, Context const&, X const& x, DY const& d_y, DX const& d_x) const {
    auto const d_weight = weight_gradient();
    if constexpr (is_wanted<DX>)
      ops::linear_backward(workspace.exec(), rows(x), weight(), rows(d_y), d_weight, rows(d_x));
    else
      ops::linear_backward(workspace.exec(), rows(x), weight(), rows(d_y), d_weight, no_gradient);
    if (m_has_bias) ops::add_column_sums(workspace.exec(), rows(d_y), m_bias.gradients());
  }

  /// W (outputs, inputs) of this rank.
  Tensor<ExecutionSpace, T, 2> weight() const { return m_weight.value(Extents<2>{m_outputs, m_inputs}); }
  Tensor<ExecutionSpace, T, 2> weight_gradient() const { return m_weight.gradient(Extents<2>{m_outputs, m_inputs}); }

  /// b (outputs) of this rank, if there is one.
  bool has_bias() const { return m_has_bias; }
  Tensor<ExecutionSpace, T, 1> bias() const { return m_bias.value(Extents<1>{m_outputs}); }
  Tensor<ExecutionSpace, T, 1> bias_gradient() const { return m_bias.gradient(Extents<1>{m_outputs}); }

  template <class F>
  void for_each_parameter(F const& f) {
    f(m_weight);
    if (m_has_bias) f(m_bias);
  }

private:
  static Config const& checked(std::string const& name, Config const& config) {
    require(config.inputs > 0 && config.outputs > 0, "Linear: '", name, "' maps ", config.inputs, " to ",
            config.outputs, " features, expected at least 1 each");
    auto const& cut = config.cut;
    require(cut.blocks > 0 && config.outputs % cut.blocks == 0, "Linear: '", name, "' has ", config.outputs,
            " outputs, expected a multiple of its blocks ", cut.blocks);
    std::size_t const all = cut.axis == Cut::Axis::inputs ? config.inputs : config.outputs / cut.blocks;
    require(cut.axis == Cut::Axis::none || (cut.range.size() > 0 && cut.range.end <= all), "Linear: '", name,
            "' is cut to [", cut.range.begin, ", ", cut.range.end, "), expected a range in ", all);
    require(cut.axis != Cut::Axis::inputs || !config.bias, "Linear: '", name,
            "' is cut along its inputs, expected no bias: every rank would add it");
    return config;
  }

  static ParameterSpec spec(std::string name, Config const& config, bool is_weight) {
    auto const& cut = config.cut;
    ParameterSpec result{.name = std::move(name),
                         .shape = {config.outputs / cut.blocks},
                         .decay = is_weight,
                         .placement = config.placement,
                         .channels = config.channels};
    if (cut.blocks > 1) result.shape.insert(result.shape.begin(), cut.blocks);
    std::size_t const axis = cut.axis == Cut::Axis::inputs ? result.shape.size() : result.shape.size() - 1;
    if (is_weight) result.shape.push_back(config.inputs);
    if (cut.axis == Cut::Axis::none || cut.range.size() == result.shape[axis]) return result;
    result.placement = Placement::distributed;
    result.whole = result.shape;
    result.begin.assign(result.shape.size(), 0);
    result.shape[axis] = cut.range.size();
    result.begin[axis] = cut.range.begin;
    return result;
  }

  std::size_t m_inputs, m_outputs; // of this rank
  Parameter<ExecutionSpace, T> m_weight;
  Parameter<ExecutionSpace, T> m_bias;
  bool m_has_bias;
};

} // namespace dchag::layers
