// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "aggregators.hpp"

namespace hyperspectral {

template <class T, class Form>
AnyAggregator<T> make_linear(std::size_t fan_out, std::size_t groups, ModelSettings const& settings,
                             dchag::comm::Mesh const& mesh) {
  using dchag::Linear;
  using dchag::Tree;
  switch (fan_out) {
  case 0:
    return make_dchag<T, Form, Tree<Linear>>(groups, settings, mesh);
  case 2:
    return make_dchag<T, Form, Tree<Linear, 2>>(groups, settings, mesh);
  case 4:
    return make_dchag<T, Form, Tree<Linear, 4>>(groups, settings, mesh);
  default:
    return make_dchag<T, Form, Tree<Linear, 8>>(groups, settings, mesh);
  }
}

} // namespace hyperspectral
