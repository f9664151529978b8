// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <fstream>
#include <string>

namespace dchag::bench {

/// The most memory of this process that was resident at one time since the last reset, in bytes; 0 where the system
/// does not say.
inline std::size_t peak_resident() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word != "VmHWM:") continue;
    std::size_t kibibytes = 0;
    status >> kibibytes;
    return kibibytes * 1024;
  }
  return 0;
}

/// Begins anew from what is resident now. False where the system has no such thing: the peak is then the process's.
inline bool reset_peak_resident() {
  std::ofstream clear("/proc/self/clear_refs");
  clear << 5 << std::flush;
  return clear.good();
}

} // namespace dchag::bench
