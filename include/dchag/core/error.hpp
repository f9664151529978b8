// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

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

/// A stored file that was read without an error of the system and is not what its writer left: cut, changed, mixed with
/// another, or in no known format. An older file may take its place.
struct DamagedError : Error {
  using Error::Error;
};

/// What the operating system refused: opening, reading, writing, memory. It says nothing about what a file holds.
struct SystemError : Error {
  using Error::Error;
};

/// The parts written one after the other, as operator<< writes them.
template <class... Parts>
std::string concat(Parts const&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  return text.str();
}

/// A text of any length and origin for a sentence: of more than `most` bytes the middle is left out, as in
/// "abc... 399994 bytes left out ...xyz", and control characters become question marks.
inline std::string shortened(std::string_view text, std::size_t most = 120) {
  std::string result(text);
  if (text.size() > most) {
    auto const is_inside = [&](std::size_t at) {
      return at < text.size() && (text[at] & 0xc0) == 0x80;
    }; // of a UTF-8 character
    std::size_t head = most / 2;
    std::size_t tail = text.size() - most / 2;
    for (int i = 0; i < 3 && head > 0 && is_inside(head); ++i) --head;
    for (int i = 0; i < 3 && is_inside(tail); ++i) ++tail;
    result = concat(text.substr(0, head), "... ", tail - head, " bytes left out ...", text.substr(tail));
  }
  for (char& c : result)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return result;
}

/// Throws an `ErrorType` with the parts as its sentence unless the condition holds.
template <class ErrorType = ShapeError, class... Parts>
void require(bool condition, Parts const&... parts) {
  if (!condition) throw ErrorType(concat(parts...));
}

} // namespace dchag
