// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "resources.hpp"

#include <fstream>
#include <string>

namespace hyperspectral {

std::optional<std::size_t> peak_resident_memory() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    std::size_t kibibytes = 0;
    if (word == "VmHWM:" && status >> kibibytes) return kibibytes * 1024;
  }
  return std::nullopt;
}

void restart_peak_resident_memory() {
  std::ofstream("/proc/self/clear_refs") << "5\n"; // proc(5)
}

} // namespace hyperspectral
