// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cctype>
#include <charconv>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

namespace hyperspectral {

inline std::string lower(std::string_view text) {
  std::string result(text);
  for (auto& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

inline std::string_view trim(std::string_view text) {
  constexpr std::string_view blank = " \t\r\n\f\v";
  auto const first = text.find_first_not_of(blank);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(blank) - first + 1);
}

/// The number that the whole text spells, or nothing. Independent of the locale.
template <class Number>
std::optional<Number> parse(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  Number number{};
  auto const end = text.data() + text.size();
  auto const [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return number;
}

/// As much of a user's text as a one-line message can carry.
inline std::string quote(std::string_view text) {
  std::string result = "'";
  for (auto const c : text.substr(0, 40)) result += std::isprint(static_cast<unsigned char>(c)) != 0 ? c : '?';
  return result + (text.size() > 40 ? "...'" : "'");
}

inline std::string extension_of(std::filesystem::path const& path) {
  return lower(path.extension().string());
}

} // namespace hyperspectral
