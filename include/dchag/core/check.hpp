// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/error.hpp>
#include <dchag/core/tensor.hpp>

namespace dchag {

/// "(2, 3, 5)"
template <class Range>
std::string shape_text(Range const& extents) {
  std::ostringstream text;
  char const* separator = "(";
  for (auto n : extents) {
    text << separator << n;
    separator = ", ";
  }
  text << ')';
  return text.str();
}

/// The extents of a View.
template <class View>
Extents<View::rank> extents_of(View const& view) {
  Extents<View::rank> extents{};
  for (std::size_t axis = 0; axis < View::rank; ++axis) extents[axis] = view.extent(axis);
  return extents;
}

/// Throws `ShapeError` "<where>: <what> is (2, 3), expected (2, 4)" unless the View has the expected extents.
template <class View>
void require_shape(char const* where, char const* what, View const& view, Extents<View::rank> const& expected) {
  auto const found = extents_of(view);
  if (found != expected)
    throw ShapeError(concat(where, ": ", what, " is ", shape_text(found), ", expected ", shape_text(expected)));
}

} // namespace dchag
