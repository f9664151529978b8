// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/error.hpp>

#include <mpi.h>

#include <algorithm>
#include <string_view>

namespace dchag::comm::detail {

/// The line without the blanks around it.
inline std::string_view trimmed(std::string_view line) {
  constexpr std::string_view blanks = " \t\r\n";
  auto const begin = line.find_first_not_of(blanks);
  return begin == line.npos ? std::string_view() : line.substr(begin, line.find_last_not_of(blanks) + 1 - begin);
}

/// What is said in a line of the form "internal_Bcast(61).: Invalid root (value given was 6)", behind the place; other
/// lines whole.
inline std::string_view without_place(std::string_view line) {
  auto const open = (std::min)(line.find('('), line.size());
  auto const close = (std::min)(line.find_first_not_of("0123456789", open + 1), line.size());
  auto const colon = (std::min)(line.find_first_not_of('.', close + 1), line.size());
  bool const has_place =
      line.substr(0, open).find(' ') == line.npos && line.substr(close, 1) == ")" && line.substr(colon, 1) == ":";
  return has_place ? trimmed(line.substr(colon + 1)) : line;
}

/// MPI's text of an error in one line. Open MPI's has no more. MPICH and its children write what kind of error it is,
/// then a line for each function that it went through, the innermost last: the kind and the last that says something
/// are left.
inline std::string one_line(std::string_view text) {
  std::string_view kind, innermost;
  while (!text.empty()) {
    auto const end = (std::min)(text.find('\n'), text.size());
    auto const line = trimmed(text.substr(0, end));
    text.remove_prefix((std::min)(end + 1, text.size()));
    if (kind.empty())
      kind = trimmed(line.substr(0, line.find(", error stack:")));
    else if (auto const said = without_place(line); !said.empty())
      innermost = said;
  }
  if (innermost.find(kind) != innermost.npos) return std::string(innermost);
  return innermost.empty() ? std::string(kind) : concat(kind, ": ", innermost);
}

/// What MPI refused on this rank. The others may wait for it in the call that failed, so it cannot ask them anything:
/// `collectively` lets it pass.
struct MpiError : CommError {
  using CommError::CommError;
};

/// Throws `MpiError` "<function>: <MPI's own text, in one line>" unless the code says success. Before MPI's beginning
/// and behind its end, where some MPIs have no texts, the code stands in its place.
inline void check(int code, char const* function) {
  if (code == MPI_SUCCESS) return;
  int initialized = 0;
  int finalized = 0;
  MPI_Initialized(&initialized);
  MPI_Finalized(&finalized);
  if (initialized == 0 || finalized != 0) throw MpiError(concat(function, ": error code ", code));
  char text[MPI_MAX_ERROR_STRING] = {};
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw MpiError(concat(function, ": ", one_line(std::string_view(text, static_cast<std::size_t>(length)))));
}

} // namespace dchag::comm::detail
