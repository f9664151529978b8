// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <limits>
#include <map>
#include <string>
#include <vector>

namespace dchag::bench {

/// The seconds that an iteration of the benchmarks of this run took, by name, for those that come after them to compare
/// with. The framework tries until it has iterations enough and then repeats: of the longest calls the median counts.
class Times {
public:
  void note(std::string const& name, double seconds, benchmark::IterationCount iterations) {
    auto& calls = m_calls[name];
    if (iterations > calls.iterations) calls = {iterations, {}};
    if (iterations == calls.iterations) calls.seconds.push_back(seconds);
  }

  /// Not a number if there is none of this name, because a filter left it out.
  double of(std::string const& name) const {
    auto const found = m_calls.find(name);
    if (found == m_calls.end()) return std::numeric_limits<double>::quiet_NaN();
    auto sorted = found->second.seconds;
    std::sort(sorted.begin(), sorted.end());
    std::size_t const n = sorted.size();
    return (sorted[(n - 1) / 2] + sorted[n / 2]) / 2;
  }

private:
  struct Calls {
    benchmark::IterationCount iterations = 0;
    std::vector<double> seconds;
  };
  std::map<std::string, Calls> m_calls;
};

inline Times& times() {
  static Times of_this_run;
  return of_this_run;
}

} // namespace dchag::bench
