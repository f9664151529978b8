// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "pictures/axis.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace hyperspectral {
namespace {

// Digits enough to tell ticks `step` apart, and an exponent where zeros would pile up.
std::string tick_label(double value, double step) {
  if (std::abs(value) < step * 1e-6) value = 0; // 3 * 0.1 - 0.3 is no tick of 5e-17
  double const magnitude = std::max(std::abs(value), step);
  int const step_power = static_cast<int>(std::floor(std::log10(step) + 1e-9));
  int const power = static_cast<int>(std::floor(std::log10(magnitude) + 1e-9));
  std::array<char, 64> text{};
  if (value == 0) return "0";
  if (power < 6 && step_power > -5) {
    std::snprintf(text.data(), text.size(), "%.*f", std::max(0, -step_power), value);
    return text.data();
  }
  std::snprintf(text.data(), text.size(), "%.*e", std::clamp(power - step_power, 0, 12), value);
  std::string const number = text.data();
  auto const e = number.find('e');
  return number.substr(0, e + 1) + std::to_string(std::stoi(number.substr(e + 1))); // 1e-5, not 1e-05
}

void linear_ticks(Axis& axis, int most) {
  double step = nice_step((axis.high - axis.low) / std::max(most, 1));
  double const first = std::ceil(axis.low / step - 1e-9);
  double const last = std::floor(axis.high / step + 1e-9);
  for (double i = first; i <= last; ++i) {
    axis.ticks.push_back(i * step);
    axis.labels.push_back(tick_label(i * step, step));
  }
}

void log_ticks(Axis& axis, int most) {
  int const first = static_cast<int>(std::ceil(std::log10(axis.low) - 1e-9));
  int const last = static_cast<int>(std::floor(std::log10(axis.high) + 1e-9));
  int const stride = std::max(1, (last - first) / std::max(most, 1) + 1);
  bool const decades = last - first >= 2;
  for (int power = first - 1; power <= last; ++power)
    for (int digit = 1; digit < 10; ++digit) {
      double const value = digit * std::pow(10.0, power);
      if (value < axis.low * (1 - 1e-9) || value > axis.high * (1 + 1e-9)) continue;
      bool const labelled = digit == 1 ? power % stride == 0 : !decades && (digit == 2 || digit == 5);
      if (labelled) {
        axis.ticks.push_back(value);
        axis.labels.push_back(tick_label(value, std::pow(10.0, power)));
      } else if (stride == 1 || digit == 1) {
        axis.minor.push_back(value);
      }
    }
  if (axis.ticks.size() >= 2) return;
  // Less than half a decade: its ticks are those of a linear axis, at their logarithmic places.
  axis.ticks.clear();
  axis.labels.clear();
  axis.minor.clear();
  linear_ticks(axis, most);
}

} // namespace

bool is_drawable(double value, bool log) {
  return std::isfinite(value) && std::abs(value) <= 1e100 && (!log || value >= 1e-100);
}

double nice_step(double rough) {
  double const decade = std::pow(10.0, std::floor(std::log10(rough)));
  for (double const digit : {1.0, 2.0, 5.0})
    if (digit * decade >= rough * (1 - 1e-9)) return digit * decade;
  return 10 * decade;
}

double Axis::share(double value) const {
  return log ? std::log(value / low) / std::log(high / low) : (value - low) / (high - low);
}

Axis make_axis(std::vector<double> const& values, bool log, double margin, int most_ticks) {
  Axis axis{log ? 0.1 : 0.0, 1.0, log, {}, {}, {}};
  bool any = false;
  for (double const value : values) {
    if (!is_drawable(value, log)) continue;
    axis.low = any ? std::min(axis.low, value) : value;
    axis.high = any ? std::max(axis.high, value) : value;
    any = true;
  }
  // A constant has no range of its own; nor has what differs by less than the labels could show.
  double const size = std::max(std::abs(axis.low), std::abs(axis.high));
  if (axis.high - axis.low <= 1e-9 * size || axis.high - axis.low < 1e-90) {
    double const half = size < 1e-80 ? 1.0 : 0.1 * size;
    axis.low = log ? axis.low / 2 : axis.low - half;
    axis.high = log ? axis.high * 2 : axis.high + half;
  } else if (log) {
    double const factor = std::pow(axis.high / axis.low, margin);
    axis.low /= factor;
    axis.high *= factor;
  } else {
    double const extra = any ? margin * (axis.high - axis.low) : 0.0;
    axis.low -= extra;
    axis.high += extra;
  }
  log ? log_ticks(axis, most_ticks) : linear_ticks(axis, most_ticks);
  return axis;
}

} // namespace hyperspectral
