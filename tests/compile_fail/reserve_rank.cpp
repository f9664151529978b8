// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/core/tensor.hpp>

using Space = Kokkos::DefaultExecutionSpace;

void reserve_three_extents_for_two_axes(Space const& exec, dchag::Tensor<Space, float, 2>& tensor) {
  dchag::reserve(exec, tensor, "tensor", dchag::Extents<3>{2, 3, 4});
}
