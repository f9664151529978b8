// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/ops/gemm.hpp>

using Space = Kokkos::DefaultExecutionSpace;

void multiply_float_by_double(Space const& exec, dchag::Tensor<Space, float, 2> const& a,
                              dchag::Tensor<Space, double, 2> const& b, dchag::Tensor<Space, float, 2> const& c) {
  using dchag::ops::Op;
  dchag::ops::gemm(exec, Op::none, Op::none, 1.0f, a, b, 0.0f, c);
}
