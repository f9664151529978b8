// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

namespace hyperspectral {

// A cell holds a glyph of 5 x 9 dots (7 above the base line, 2 below it) and the space to its neighbours.
inline constexpr int glyph_width = 5;
inline constexpr int glyph_height = 9;
inline constexpr int glyph_cap_height = 7;
inline constexpr int glyph_advance = 6;

/// Whether the glyph of `character` has a dot there; whatever is not printable ASCII is drawn as a box.
bool glyph_dot(char character, int column, int row);

} // namespace hyperspectral
