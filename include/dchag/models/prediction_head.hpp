// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/description.hpp>
#include <dchag/layers/linear.hpp>
#include <dchag/ops/gelu.hpp>

#include <vector>

namespace dchag {

/// Predicts the pixels of every channel at each position: hidden layers (Linear D -> D, GELU), then Linear D -> C s.
///
/// Shapes: x (..., D) -> y (..., C s), pixel k of channel c at c s + k. Parameters `<name>.hidden<i>.*`,
/// `<name>.out.*`. Source: the paper's head has two hidden layers; a masked autoencoder's decoder ends in none.
template <KokkosExecutionSpace ExecutionSpace, Scalar T>
class PredictionHead {
public:
  using value_type = T;

  struct Config {
    std::size_t inputs;  ///< D
    std::size_t outputs; ///< C s
    std::size_t hidden_layers = 2;
    Range channels = {}; ///< of the model, which it predicts: their pixels are marked in the checkpoint; if empty, not
  };

  struct Context {
    std::vector<Tensor<ExecutionSpace, T, 2>> hidden; // (N, D), before each activation
    std::vector<Tensor<ExecutionSpace, T, 2>> active; // (N, D), after it
  };

  PredictionHead(ExecutionSpace const& exec, std::string const& name, Config const& config, std::uint64_t seed)
      : m_name(name), m_out(exec, name + ".out",
                            {.inputs = config.inputs, .outputs = config.outputs, .channels = config.channels}, seed) {
    for (std::size_t i = 0; i < config.hidden_layers; ++i)
      m_hidden.emplace_back(exec, name + ".hidden" + std::to_string(i),
                            typename Dense::Config{.inputs = config.inputs, .outputs = config.inputs}, seed);
  }

  template <class X, class Y>
  void forward(Workspace<ExecutionSpace>& workspace, Context& context, X const& x, Y const& y) const {
    context.hidden.resize(m_hidden.size());
    context.active.resize(m_hidden.size());
    NoContext none;
    auto input = rows(x);
    for (std::size_t i = 0; i < m_hidden.size(); ++i) {
      reserve(workspace.exec(), context.hidden[i], "dchag::models::head_hidden", extents_of(input));
      reserve(workspace.exec(), context.active[i], "dchag::models::head_active", extents_of(input));
      m_hidden[i].forward(workspace, none, input, context.hidden[i]);
      ops::gelu_forward(workspace.exec(), context.hidden[i], context.active[i]);
      input = context.active[i];
    }
    m_out.forward(workspace, none, input, y);
  }

  template <class X, class DY, class DX>
  void backward(Workspace<ExecutionSpace>& workspace, Context const& context, X const& x, DY const& d_y,
                DX const& d_x) const {
    NoContext const none;
    if (m_hidden.empty()) {
      m_out.backward(workspace, none, x, d_y, d_x);
      return;
    }
    auto frame = workspace.frame();
    auto const d_active = frame.template take<T, 2>(extents_of(rows(x)));
    auto const d_hidden = frame.template take<T, 2>(extents_of(rows(x)));
    m_out.backward(workspace, none, context.active.back(), d_y, d_active);
    for (std::size_t i = m_hidden.size(); i-- > 0;) {
      ops::gelu_backward(workspace.exec(), context.hidden[i], d_active, d_hidden);
      if (i > 0)
        m_hidden[i].backward(workspace, none, context.active[i - 1], d_hidden, d_active);
      else
        m_hidden[0].backward(workspace, none, x, d_hidden, d_x);
    }
  }

  template <class F>
  void for_each_parameter(F const& f) {
    for (auto& layer : m_hidden) layer.for_each_parameter(f);
    m_out.for_each_parameter(f);
  }

  Description describe() const {
    Description description;
    description.set(m_name + " hidden layers", m_hidden.size());
    return description;
  }

private:
  using Dense = layers::Linear<ExecutionSpace, T>;

  std::string m_name;
  std::vector<Dense> m_hidden;
  Dense m_out;
};

} // namespace dchag
