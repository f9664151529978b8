// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "data/crop.hpp"

#include <charconv>

namespace hyperspectral {

std::string to_string(Crop const& crop) {
  auto const lines = std::to_string(crop.lines);
  return crop.lines == crop.samples ? lines : lines + 'x' + std::to_string(crop.samples);
}

std::optional<Crop> read_crop(std::string_view text) {
  auto const number = [](std::string_view digits) -> std::optional<std::size_t> {
    std::size_t value = 0;
    auto const [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
    return value;
  };
  auto const times = text.find('x');
  auto const lines = number(text.substr(0, times));
  auto const samples = times == std::string_view::npos ? lines : number(text.substr(times + 1));
  if (!lines || !samples) return std::nullopt;
  return Crop(*lines, *samples);
}

} // namespace hyperspectral
