// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "data/dataset.hpp"
#include "options.hpp"

namespace hyperspectral {

/// The cubes that the options name, or made-up scenes. The same on every rank; sends nothing.
/// Throws: dchag::Error if there are too few cubes, or one is smaller than a crop; DataError for what cannot be read.
Dataset read_data(Options const& options);

} // namespace hyperspectral
