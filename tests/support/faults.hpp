// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cerrno>
#include <string>
#include <vector>

namespace dchag::test {

/// A call of the system on a file that does not do what it should.
struct Fault {
  std::string call; ///< "open", "stat", "fstat", "pread", "pwrite", "fsync", "close", "rename", "unlink", "mkdir",
                    ///< "opendir", "readdir", "access", "fcntl" (locks)
  std::string path; ///< a part of the file's path; for "rename" of the old one
  int error = EIO;  ///< what it fails with; 0: it transfers at most 5 bytes
  int at = 1;       ///< which of these calls, counted from 1; 0: all of them; a number that is never reached: none,
                    ///< they are only counted
  int seen = 0;     ///< such calls so far
};

/// Makes calls of this process fail for as long as it lives. One at a time. Needs support/faults.cpp in the program.
class Faults {
public:
  explicit Faults(std::vector<Fault> faults);
  Faults(Faults const&) = delete;
  Faults& operator=(Faults const&) = delete;
  ~Faults();
  /// How many calls of a fault's kind there were on such files so far.
  int seen(std::size_t fault) const;
};

} // namespace dchag::test
