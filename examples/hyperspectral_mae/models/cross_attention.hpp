// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "aggregators.hpp"

namespace hyperspectral {

template <class T, class Form>
AnyAggregator<T> make_cross_attention(std::size_t fan_out, std::size_t groups, ModelSettings const& settings,
                                      dchag::comm::Mesh const& mesh) {
  using dchag::CrossAttention;
  using dchag::Tree;
  switch (fan_out) {
  case 0:
    return make_dchag<T, Form, Tree<CrossAttention>>(groups, settings, mesh);
  case 2:
    return make_dchag<T, Form, Tree<CrossAttention, 2>>(groups, settings, mesh);
  case 4:
    return make_dchag<T, Form, Tree<CrossAttention, 4>>(groups, settings, mesh);
  default:
    return make_dchag<T, Form, Tree<CrossAttention, 8>>(groups, settings, mesh);
  }
}

} // namespace hyperspectral
