// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "models/linear.hpp"

namespace hyperspectral {
template AnyAggregator<float> make_linear<float, dchag::Fused>(std::size_t, std::size_t, ModelSettings const&,
                                                               dchag::comm::Mesh const&);
} // namespace hyperspectral
