// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/workspace.hpp>
#include <dchag/layers/unit.hpp>
#include <dchag/ops/gelu.hpp>
#include <dchag/ops/linear.hpp>

#include <functional>
#include <support/parameters.hpp>

namespace dchag::test {

/// The least that has units: x + shift, then linear maps with an activation between them, each a unit; the last, of one
/// number, has neither activation nor bias. The sizes divide into no number of shards. `shift` is in no unit.
template <class Space, class Number>
class UnitModel {
public:
  using value_type = Number;
  using execution_space = Space;
  using T = Number;
  using Matrix = Tensor<Space, T, 2>;

  static constexpr std::size_t widths[] = {6, 5, 7, 3, 1, 1};
  static constexpr std::size_t depth = 5;

  struct Layer {
    Parameter<Space, T> weight, bias;
    bool has_bias = true;
    template <class F>
    void for_each_parameter(F const& f) {
      f(weight);
      if (has_bias) f(bias);
    }
  };

  struct Context {
    Matrix x[depth + 1];      // what enters each unit
    Matrix before[depth + 1]; // each activation
    Matrix d_x[depth + 1];
  };

  explicit UnitModel(Space const& exec)
      : shift(exec, {.name = "shift", .shape = {widths[0]}}, initial::uniform(3, "shift", 1)), units(depth) {
    for (std::size_t i = 0; i < depth; ++i) {
      auto const name = "layer" + std::to_string(i);
      std::size_t const inputs = widths[i], outputs = widths[i + 1];
      Layer& layer = layers.emplace_back();
      layer.weight = Parameter<Space, T>(exec, {.name = name + ".weight", .shape = {outputs, inputs}, .decay = true},
                                         initial::uniform(3, name + ".weight", 1));
      layer.has_bias = i + 1 < depth;
      if (layer.has_bias)
        layer.bias = Parameter<Space, T>(exec, {.name = name + ".bias", .shape = {outputs}},
                                         initial::uniform(3, name + ".bias", 1));
    }
  }

  /// Shapes: x (B, 6); the result is context.x[depth] (B, 1).
  void forward(Workspace<Space>& workspace, Context& context, Matrix const& x) {
    auto const& exec = workspace.exec();
    std::size_t const B = x.extent(0);
    for (std::size_t i = 0; i <= depth; ++i)
      for (auto* matrix : {&context.x[i], &context.before[i], &context.d_x[i]})
        reserve(exec, *matrix, "dchag::test::unit_model", Extents<2>{B, widths[i]});
    Kokkos::deep_copy(exec, context.x[0], x);
    ops::add_bias(exec, shift.values(), context.x[0]);
    for (std::size_t i = 0; i < depth; ++i) {
      auto const use = units[i].in_forward();
      bool const last = i + 1 == depth;
      auto const y = last ? context.x[i + 1] : context.before[i + 1];
      ops::linear_forward(exec, context.x[i], layers[i].weight.template value<2>(), y);
      if (last) continue;
      ops::add_bias(exec, layers[i].bias.values(), y);
      ops::gelu_forward(exec, y, context.x[i + 1]);
    }
  }

  /// Half the mean over the samples of y^2. Calls `in_backward_of(i)` inside unit i, if set.
  double backward(Workspace<Space>& workspace, Context& context) {
    auto const& exec = workspace.exec();
    double loss = 0;
    auto const y = flat(context.x[depth]);
    auto d_y = y;
    for (double& v : d_y) {
      loss += 0.5 * v * v / static_cast<double>(y.size());
      v /= static_cast<double>(y.size());
    }
    assign(context.d_x[depth], d_y);
    for (std::size_t i = depth; i-- > 0;) {
      auto const use = units[i].in_backward();
      if (in_backward_of) in_backward_of(i);
      auto const d = context.d_x[i + 1];
      if (i + 1 < depth) {
        ops::gelu_backward(exec, context.before[i + 1], d, d);
        ops::add_column_sums(exec, d, layers[i].bias.gradients());
      }
      ops::linear_backward(exec, context.x[i], layers[i].weight.template value<2>(), d,
                           layers[i].weight.template gradient<2>(), context.d_x[i]);
    }
    ops::add_column_sums(exec, context.d_x[0], shift.gradients());
    return loss;
  }

  template <class F>
  void for_each_parameter(F const& f) {
    f(shift);
    for (auto& layer : layers) layer.for_each_parameter(f);
  }
  template <class F>
  void for_each_unit(F const& f) {
    for (std::size_t i = 0; i < depth; ++i) f(units[i], layers[i]);
  }

  Parameter<Space, T> shift;
  std::vector<Layer> layers;
  std::vector<Unit> units;
  std::function<void(std::size_t)> in_backward_of;
};

} // namespace dchag::test
