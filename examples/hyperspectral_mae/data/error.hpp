// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <sstream>
#include <stdexcept>

namespace hyperspectral {

/// What is wrong with the user's data, in one sentence with the numbers in it.
struct DataError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// There is not the memory for them.
struct DataMemoryError : DataError {
  using DataError::DataError;
};

/// Throws a DataError of the parts written one after the other.
template <class... Part>
[[noreturn]] void fail(Part const&... part) {
  std::ostringstream text;
  (text << ... << part);
  throw DataError(text.str());
}

} // namespace hyperspectral
