// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/layers/parameter.hpp>

dchag::Parameter<Kokkos::DefaultExecutionSpace, int> parameter_of_integers;
