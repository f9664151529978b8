// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "strike.hpp"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

// Called from inside malloc and open: nothing here allocates or calls what is stood in for.
namespace dchag::faults {
namespace {

struct Plan {
  char call[64] = {};
  char how[16] = {};
  long at = 0;
  int error = 0;
  bool own_rank = false;
  char folders[4096] = {};
  std::size_t bytes = std::size_t{1} << 20;
  int report = -1;
};
Plan plan;
std::atomic<bool> begun{false};
std::atomic<Calls*> called{nullptr};

int number_of(char const* name) {
  struct {
    char const* name;
    int number;
  } const errors[] = {{"EIO", EIO},       {"ENOSPC", ENOSPC}, {"EACCES", EACCES},
                      {"EMFILE", EMFILE}, {"ENOMEM", ENOMEM}, {"EINTR", EINTR}};
  for (auto const& error : errors)
    if (std::strcmp(error.name, name) == 0) return error.number;
  return 0;
}

/// Of this process in the world, by the variables of Open MPI, MPICH and Intel MPI, PMIx, Slurm.
char const* rank_text() {
  for (char const* name : {"OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK", "SLURM_PROCID"})
    if (char const* const text = std::getenv(name)) return text;
  return "0";
}

void report(char const* word, Calls const& calls, long count, char const* what) {
  if (plan.report < 0) return;
  char line[4352];
  int const length = std::snprintf(line, sizeof line, "%s %s %ld %s\n", word, calls.name, count, what);
  syscall(SYS_write, plan.report, line, static_cast<std::size_t>(length) < sizeof line ? length : sizeof line - 1);
}

[[gnu::constructor]] void read_plan() {
  auto const text = [](char const* name, char const* otherwise) {
    char const* const value = std::getenv(name);
    return value != nullptr ? value : otherwise;
  };
  std::snprintf(plan.folders, sizeof plan.folders, "%s", text("DCHAG_FAULT_FOLDERS", ""));
  plan.bytes = std::strtoull(text("DCHAG_FAULT_BYTES", "1048576"), nullptr, 10);
  if (char const* const path = std::getenv("DCHAG_FAULT_REPORT")) {
    char name[4096];
    std::snprintf(name, sizeof name, "%s.%s", path, rank_text());
    plan.report =
        static_cast<int>(syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
  }
  plan.own_rank = std::strcmp(text("DCHAG_FAULT_RANK", "0"), rank_text()) == 0;
  if (std::sscanf(text("DCHAG_FAULT", ""), "%63s %ld %15s", plan.call, &plan.at, plan.how) != 3) plan.at = 0;
  plan.error = number_of(plan.how);
}

[[gnu::destructor]] void report_counts() {
  for (auto* calls = called.load(); calls != nullptr; calls = calls->next) report("count", *calls, calls->count, "");
}

} // namespace

Blow strike(Calls& calls, char const* what) {
  long const count = ++calls.count;
  if (count == 1) {
    calls.next = called.load();
    while (!called.compare_exchange_weak(calls.next, &calls)) {
    }
  }
  if (!plan.own_rank || count != plan.at || std::strcmp(calls.name, plan.call) != 0) return {};
  report("struck", calls, count, what);
  if (std::strcmp(plan.how, "kill") == 0) end();
  bool const torn = std::strcmp(plan.how, "torn") == 0;
  return {plan.error, torn || std::strcmp(plan.how, "half") == 0, torn};
}

bool is_struck(char const* path) {
  if (path == nullptr) return false;
  for (char const* folder = plan.folders; *folder != '\0';) {
    std::size_t const length = std::strcspn(folder, ":");
    if (length > 0 && std::strncmp(path, folder, length) == 0) return true;
    folder += length + (folder[length] == ':' ? 1 : 0);
  }
  return false;
}

char const* path_of(int file, char* text, std::size_t size) {
  char link[64];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  int const error = errno;
  auto const length = syscall(SYS_readlink, link, text, size - 1);
  errno = error;
  text[length > 0 ? length : 0] = '\0';
  return text;
}

std::size_t struck_bytes() {
  return plan.bytes;
}

void begin() {
  begun = true;
}
bool has_begun() {
  return begun;
}

void end() {
  ::kill(::getpid(), SIGKILL);
  for (;;) ::pause();
}

} // namespace dchag::faults
