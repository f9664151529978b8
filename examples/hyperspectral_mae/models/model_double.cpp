// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "model_of.hpp"

namespace hyperspectral {
template class ModelOf<double>;
} // namespace hyperspectral
