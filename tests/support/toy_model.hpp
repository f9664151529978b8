// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/layers/parameter.hpp>

namespace dchag::test {

/// The least that is a model: a matrix that decays and a bias that does not.
template <class ExecutionSpace, class T>
struct ToyModel {
  using value_type = T;

  explicit ToyModel(ExecutionSpace const& exec, Placement weight_placement = Placement::replicated)
      : weight(exec, {.name = "toy.weight", .shape = {3, 4}, .decay = true, .placement = weight_placement},
               initial::uniform(1, "toy.weight", 1)),
        bias(exec, {.name = "toy.bias", .shape = {3}}, initial::uniform(1, "toy.bias", 1)) {}

  template <class F>
  void for_each_parameter(F&& f) {
    f(weight);
    f(bias);
  }

  Parameter<ExecutionSpace, T> weight; // (3, 4)
  Parameter<ExecutionSpace, T> bias;   // (3)
};

} // namespace dchag::test
