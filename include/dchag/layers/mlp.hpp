// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/layers/linear.hpp>
#include <dchag/ops/gelu.hpp>

namespace dchag::layers {

/// y = W_2 gelu(W_1 x + b_1) + b_2, or with `own` the share of some of the hidden features in it, without b_2: the sum
/// over the ranks that have the others is y.
///
/// Shapes: x (..., inputs) -> hidden (..., hidden or own) -> y (..., outputs); parameters `<name>.in.*`,
/// `<name>.out.*`. The activation is made again in the backward pass: it costs less than it would hold.
template <KokkosExecutionSpace ExecutionSpace, Scalar T>
class Mlp {
public:
  using value_type = T;

  struct Config {
    std::size_t inputs;
    std::size_t hidden;
    std::size_t outputs;
    Range own = {}; ///< hidden features of this rank; if empty, all
  };

  struct Context {
    Tensor<ExecutionSpace, T, 2> hidden; // (N, hidden), before the activation
  };

  Mlp(ExecutionSpace const& exec, std::string const& name, Config const& config, std::uint64_t seed)
      : m_hidden(config.own.size() > 0 ? config.own.size() : config.hidden),
        m_in(exec, name + ".in",
             {.inputs = config.inputs, .outputs = config.hidden, .cut = cut(config, Cut::Axis::outputs)}, seed),
        m_out(exec, name + ".out",
              {.inputs = config.hidden,
               .outputs = config.outputs,
               .bias = config.own.size() == 0,
               .cut = cut(config, Cut::Axis::inputs)},
              seed) {}

  template <class X, class Y>
  void forward(Workspace<ExecutionSpace>& workspace, Context& context, X const& x, Y const& y) const {
    std::size_t const N = rows(x).extent(0);
    reserve(workspace.exec(), context.hidden, "dchag::layers::mlp_hidden", Extents<2>{N, m_hidden});
    auto frame = workspace.frame();
    auto const active = frame.template take<T, 2>({N, m_hidden});
    NoContext none;
    m_in.forward(workspace, none, x, context.hidden);
    ops::gelu_forward(workspace.exec(), context.hidden, active);
    m_out.forward(workspace, none, active, y);
  }

  template <class X, class DY, class DX>
  void backward(Workspace<ExecutionSpace>& workspace, Context const& context, X const& x, DY const& d_y,
                DX const& d_x) const {
    auto frame = workspace.frame();
    auto const active = frame.template take<T, 2>(extents_of(context.hidden));
    auto const d_hidden = frame.template take<T, 2>(extents_of(context.hidden));
    NoContext const none;
    ops::gelu_forward(workspace.exec(), context.hidden, active);
    m_out.backward(workspace, none, active, d_y, d_hidden);
    ops::gelu_backward(workspace.exec(), context.hidden, d_hidden, d_hidden);
    m_in.backward(workspace, none, x, d_hidden, d_x);
  }

  template <class F>
  void for_each_parameter(F const& f) {
    m_in.for_each_parameter(f);
    m_out.for_each_parameter(f);
  }

private:
  static Cut cut(Config const& config, Cut::Axis axis) {
    return config.own.size() == 0 ? Cut() : Cut{.axis = axis, .range = config.own};
  }

  std::size_t m_hidden; // of this rank
  Linear<ExecutionSpace, T> m_in;
  Linear<ExecutionSpace, T> m_out;
};

} // namespace dchag::layers
