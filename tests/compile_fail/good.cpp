// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/core/tensor.hpp>
#include <dchag/layers/parameter.hpp>

using Space = Kokkos::DefaultExecutionSpace;

void reserve_as_many_extents_as_axes(Space const& exec, dchag::Tensor<Space, float, 2>& tensor) {
  dchag::reserve(exec, tensor, "tensor", dchag::Extents<2>{2, 3});
}

dchag::Parameter<Space, float> parameter_of_a_scalar;
