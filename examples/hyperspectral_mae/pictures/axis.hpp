// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <string>
#include <vector>

namespace hyperspectral {

/// Values outside of +-1e100, and in a logarithmic axis those below 1e-100, are not drawn.
bool is_drawable(double value, bool log);

/// The smallest of 1, 2, 5 times a power of ten that is not below `rough`.
double nice_step(double rough);

struct Axis {
  double low = 0;
  double high = 1;
  bool log = false;
  std::vector<double> ticks;
  std::vector<std::string> labels; ///< one per tick
  std::vector<double> minor;       ///< further grid lines, without labels

  /// 0 at `low` and 1 at `high`.
  double share(double value) const;
};

/// Covers the drawable values and a margin; the ticks are 1-2-5 steps, or decades where the axis is logarithmic and
/// spans enough of them. Without values it shows 0 to 1 (0.1 to 1 if logarithmic).
Axis make_axis(std::vector<double> const& values, bool log, double margin, int most_ticks);

} // namespace hyperspectral
