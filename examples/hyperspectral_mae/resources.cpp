// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "resources.hpp"

#include <algorithm>
#include <fstream>
#include <string>
#include <string_view>
#include <sys/resource.h>
#include <unistd.h>

namespace hyperspectral {

namespace {
/// A line of a file of the kernel's such as "VmHWM:   2048 kB", in bytes.
std::optional<std::size_t> bytes_in(char const* file, std::string_view name) {
  std::ifstream lines(file);
  for (std::string word; lines >> word;) {
    std::size_t kibibytes = 0;
    if (word == name && lines >> kibibytes) return kibibytes * 1024;
  }
  return std::nullopt;
}

/// Of the address space, if there is one (`ulimit -v`).
std::optional<std::size_t> memory_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return std::nullopt;
  return limit.rlim_cur;
}
} // namespace

std::optional<std::size_t> peak_resident_memory() {
  return bytes_in("/proc/self/status", "VmHWM:");
}

std::string memory_text() {
  auto const limit = memory_limit();
  auto const held = bytes_in("/proc/self/status", limit ? "VmSize:" : "VmRSS:");
  auto const more = limit ? limit : bytes_in("/proc/meminfo", "MemAvailable:");
  if (!held || !more) return "";
  return "this process has " + std::to_string(*held >> 20) + " MiB, " +
         (limit ? "at most " + std::to_string(*more >> 20) + " MiB are allowed (ulimit -v)"
                : "the machine " + std::to_string(*more >> 20) + " MiB more");
}

std::optional<std::size_t> physical_memory() {
  long const pages = ::sysconf(_SC_PHYS_PAGES);
  long const page = ::sysconf(_SC_PAGESIZE);
  if (pages <= 0 || page <= 0) return std::nullopt;
  std::size_t const bytes = static_cast<std::size_t>(pages) * static_cast<std::size_t>(page);
  return std::min(bytes, memory_limit().value_or(bytes));
}

void restart_peak_resident_memory() {
  std::ofstream("/proc/self/clear_refs") << "5\n"; // proc(5)
}

} // namespace hyperspectral
