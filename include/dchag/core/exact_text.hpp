// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/error.hpp>

#include <charconv>
#include <concepts>
#include <string>
#include <type_traits>

/// \file
/// Numbers, flags and texts as texts that give back the same value.
namespace dchag {

/// A value in as many digits as tell it from every other.
template <class Value>
std::string exact_text(Value const& value) {
  if constexpr (std::same_as<Value, bool>) {
    return value ? "true" : "false";
  } else if constexpr (std::is_arithmetic_v<Value>) {
    char digits[64] = {};
    auto const end = std::to_chars(digits, digits + sizeof(digits), value).ptr;
    return std::string(digits, end);
  } else {
    return std::string(value);
  }
}

/// The number, bool or std::string that `exact_text` made this text of.
/// Throws: Error "<what> is '<text>', expected a number that fits" unless it is one.
template <class Value>
Value from_exact_text(std::string const& what, std::string const& text) {
  if constexpr (std::same_as<Value, std::string>) {
    return text;
  } else if constexpr (std::same_as<Value, bool>) {
    require<Error>(text == "true" || text == "false", what, " is '", shortened(text), "', expected true or false");
    return text == "true";
  } else {
    Value value{};
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    require<Error>(error == std::errc() && end == text.data() + text.size(), what, " is '", shortened(text),
                   "', expected a number that fits");
    return value;
  }
}

} // namespace dchag
