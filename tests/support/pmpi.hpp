// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <map>
#include <string>

namespace dchag::support {

/// What this rank called of MPI's communication since the count began, seen through MPI's profiling interface. Any
/// number may count at once.
///
/// The bytes are those this rank hands to a call for others to see: its block of a gather, the whole vector of a
/// reduction, all blocks of an all-to-all, the message of a send; of a broadcast and a scatter at the root only; none
/// of a receive. They do not depend on how MPI moves them.
class CommCount {
public:
  struct Tally {
    std::size_t calls = 0;
    std::size_t bytes = 0;
    friend bool operator==(Tally const&, Tally const&) = default;
  };
  using Tallies = std::map<std::string, Tally>;

  CommCount() { reset(); }

  /// Begins anew.
  void reset();

  std::size_t calls(std::string const& function) const;
  std::size_t bytes_sent(std::string const& function) const;
  std::size_t total_calls() const;
  std::size_t total_bytes_sent() const;
  /// Of the functions that were called.
  Tallies by_function() const;

  /// Processor time that this process spent in those calls, waiting for others included.
  double seconds() const { return all_seconds() - m_start_seconds; }

private:
  friend void note_call(char const* function, std::size_t bytes);
  friend void note_seconds(double seconds);
  static Tallies& everything();
  static double& all_seconds();
  Tally since_start(std::string const& function) const;

  Tallies m_start;
  double m_start_seconds = 0;
};

/// Processor time of this process.
double cpu_seconds();

} // namespace dchag::support
