// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <atomic>
#include <cstddef>

/// \file
/// A library for LD_PRELOAD that stands between a program and the system, and makes one of its calls fail. Environment
/// variables say which:
///
///     DCHAG_FAULT          which call, which of these calls, counted from 1 (a number that is never reached: none,
///                          they are only counted), and how: "write 3 ENOSPC", "MPI_Bcast 1 kill"
///     DCHAG_FAULT_RANK     the rank on which (0); its number in the world is read from the launcher's variables
///     DCHAG_FAULT_FOLDERS  calls on files count only below these, separated by colons
///     DCHAG_FAULT_BYTES    allocations count only from this size on (1048576)
///     DCHAG_FAULT_REPORT   where it writes what it struck, and at the end how often each kind was called; the rank is
///                          put behind the name
///
/// How: an error's name (EIO, ENOSPC, EACCES, EMFILE, ENOMEM, EINTR), `kill` (SIGKILL before the call), `half` (reads
/// and writes move half of their bytes, as the system may), `torn` (the same, and SIGKILL after it). An MPI call that
/// is to fail returns MPI_ERR_INTERN, whatever the error's name.
namespace dchag::faults {

/// The calls of one kind, counted.
struct Calls {
  char const* name;
  std::atomic<long> count{0};
  Calls* next = nullptr; // in the list of those that were called
};

/// What becomes of a call.
struct Blow {
  int error = 0;     ///< fail with this errno
  bool half = false; ///< move half of the bytes
  bool kill = false; ///< and end
  explicit operator bool() const { return error != 0 || half; }
};

/// Counts a call. `what`: told in the report. Does not return if the process is to be killed before the call.
Blow strike(Calls& calls, char const* what);

/// Whether a path or an open file lies below the folders.
bool is_struck(char const* path);

/// The path of an open file. Returns "" if it has none.
char const* path_of(int file, char* text, std::size_t size);

/// From which size on allocations count.
std::size_t struck_bytes();

/// The program has begun its own work: MPI runs.
void begin();
bool has_begun();

[[noreturn]] void end();

} // namespace dchag::faults
