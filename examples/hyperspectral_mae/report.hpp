// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "training.hpp"

namespace hyperspectral {

/// Draws what was learned into `<out>`: `losses.png` (all curves, beside the interpolations), and of the last model
/// `reconstruction.png` (held-out cubes as they are, masked, and filled in) and `spectrum.png` (a hidden pixel).
/// Throws: PictureError if a file cannot be written.
void draw_report(Options const& options, Dataset const& data, Evaluation const& evaluation,
                 std::vector<Curve> const& curves, std::vector<float> const& prediction);

/// Prints the final losses beside those of the interpolations, and what a step of each model took.
void print_summary(Evaluation const& evaluation, std::vector<Curve> const& curves);

} // namespace hyperspectral
