// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace dchag {

/// Every error this library throws. what() is one sentence that names the function and the numbers.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Sizes that do not fit each other, the configuration or the number of ranks.
struct ShapeError : Error {
  using Error::Error;
};

/// What MPI reported, or what ranks do not agree on.
struct CommError : Error {
  using Error::Error;
};

/// Memory that there is not, or that no machine has.
struct MemoryError : Error {
  using Error::Error;
};

/// The parts written one after the other, as operator<< writes them.
template <class... Parts>
std::string concat(Parts const&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  return text.str();
}

/// Throws an `ErrorType` with the parts as its sentence unless the condition holds.
template <class ErrorType = ShapeError, class... Parts>
void require(bool condition, Parts const&... parts) {
  if (!condition) throw ErrorType(concat(parts...));
}

} // namespace dchag
