// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/train/clipping.hpp>

using Space = Kokkos::DefaultExecutionSpace;

struct Model {
  using value_type = float;
  template <class F>
  void for_each_parameter(F const&) {}
};

double norm_of(Model& model) {
  return dchag::clip_gradients(Space(), model, 1.0);
}
