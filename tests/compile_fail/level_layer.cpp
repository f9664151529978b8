// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/channels/tree.hpp>

// A layer whose module cannot reduce tokens.
struct NoAggregation {
  template <class ExecutionSpace, class T>
  using Module = dchag::layers::Linear<ExecutionSpace, T>;
};

using Space = Kokkos::DefaultExecutionSpace;
template class dchag::TreeAggregation<Space, float, dchag::Tree<NoAggregation, 4>>;
