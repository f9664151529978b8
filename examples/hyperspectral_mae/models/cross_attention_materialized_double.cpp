// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "models/cross_attention.hpp"

namespace hyperspectral {
template AnyAggregator<double> make_cross_attention<double, dchag::Materialized>(std::size_t, std::size_t,
                                                                                 ModelSettings const&,
                                                                                 dchag::comm::Mesh const&);
} // namespace hyperspectral
