// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/error.hpp>

#include <mpi.h>

#include <string_view>

namespace dchag::comm::detail {

/// Throws `CommError` "<function>: <MPI's own text>" unless the code says success.
inline void check(int code, char const* function) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = {};
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw CommError(concat(function, ": ", std::string_view(text, static_cast<std::size_t>(length))));
}

} // namespace dchag::comm::detail
