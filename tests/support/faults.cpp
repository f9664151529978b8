// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <support/faults.hpp>
#include <sys/stat.h>
#include <unistd.h>

// The program's functions of these names stand before those of the C library.
namespace dchag::test {
namespace {

std::vector<Fault> active;

template <class Function>
Function real(Function, char const* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

/// The fault of this call, if it has one.
Fault const* fault_of(char const* call, char const* path) {
  for (auto& fault : active)
    if (fault.call == call && std::strstr(path, fault.path.c_str()) != nullptr)
      if (++fault.seen == fault.at || fault.at == 0) return &fault;
  return nullptr;
}

bool fails(char const* call, char const* path) {
  if (active.empty()) return false;
  auto const* const fault = fault_of(call, path);
  if (fault != nullptr) errno = fault->error;
  return fault != nullptr;
}

std::string path_of(int file) {
  char path[4096] = {};
  return readlink(("/proc/self/fd/" + std::to_string(file)).c_str(), path, sizeof(path) - 1) > 0 ? path : "";
}

bool fails(char const* call, int file) {
  return !active.empty() && fails(call, path_of(file).c_str());
}

/// How many bytes are transferred; -1 for a failure.
ssize_t count_of(char const* call, int file, std::size_t bytes) {
  if (active.empty()) return static_cast<ssize_t>(bytes);
  auto const* const fault = fault_of(call, path_of(file).c_str());
  if (fault == nullptr) return static_cast<ssize_t>(bytes);
  errno = fault->error;
  return fault->error == 0 ? static_cast<ssize_t>(bytes < 5 ? bytes : 5) : -1;
}

} // namespace

Faults::Faults(std::vector<Fault> faults) {
  active = std::move(faults);
}
Faults::~Faults() {
  active.clear();
}
int Faults::seen(std::size_t fault) const {
  return active[fault].seen;
}

} // namespace dchag::test

using namespace dchag::test;

extern "C" {

int open(char const* path, int flags, ...) {
  static auto const next = real(&open, "open");
  mode_t mode = 0;
  if ((flags & O_CREAT) != 0) {
    va_list arguments;
    va_start(arguments, flags);
    mode = va_arg(arguments, mode_t);
    va_end(arguments);
  }
  return fails("open", path) ? -1 : next(path, flags, mode);
}

int stat(char const* path, struct stat* status) noexcept {
  static auto const next = real(static_cast<int (*)(char const*, struct stat*)>(&stat), "stat");
  return fails("stat", path) ? -1 : next(path, status);
}

int fstat(int file, struct stat* status) noexcept {
  static auto const next = real(static_cast<int (*)(int, struct stat*)>(&fstat), "fstat");
  return fails("fstat", file) ? -1 : next(file, status);
}

ssize_t pread(int file, void* data, std::size_t bytes, off_t offset) {
  static auto const next = real(&pread, "pread");
  auto const count = count_of("pread", file, bytes);
  return count < 0 ? -1 : next(file, data, static_cast<std::size_t>(count), offset);
}

ssize_t pwrite(int file, void const* data, std::size_t bytes, off_t offset) {
  static auto const next = real(&pwrite, "pwrite");
  auto const count = count_of("pwrite", file, bytes);
  return count < 0 ? -1 : next(file, data, static_cast<std::size_t>(count), offset);
}

int fsync(int file) {
  static auto const next = real(&fsync, "fsync");
  return fails("fsync", file) ? -1 : next(file);
}

int close(int file) {
  static auto const next = real(&close, "close");
  bool const failed = fails("close", file);
  int const error = errno;
  int const result = next(file); // the file is closed all the same
  if (failed) errno = error;
  return failed ? -1 : result;
}

int rename(char const* from, char const* to) noexcept {
  static auto const next = real(static_cast<int (*)(char const*, char const*)>(&rename), "rename");
  return fails("rename", from) ? -1 : next(from, to);
}

int unlink(char const* path) noexcept {
  static auto const next = real(static_cast<int (*)(char const*)>(&unlink), "unlink");
  return fails("unlink", path) ? -1 : next(path);
}

int mkdir(char const* path, mode_t mode) noexcept {
  static auto const next = real(static_cast<int (*)(char const*, mode_t)>(&mkdir), "mkdir");
  return fails("mkdir", path) ? -1 : next(path, mode);
}

int access(char const* path, int mode) noexcept {
  static auto const next = real(static_cast<int (*)(char const*, int)>(&access), "access");
  return fails("access", path) ? -1 : next(path, mode);
}

DIR* opendir(char const* path) {
  static auto const next = real(&opendir, "opendir");
  return fails("opendir", path) ? nullptr : next(path);
}

dirent* readdir(DIR* folder) {
  static auto const next = real(&readdir, "readdir");
  return fails("readdir", dirfd(folder)) ? nullptr : next(folder);
}

int fcntl(int file, int command, ...) {
  static auto const next = real(&fcntl, "fcntl");
  va_list arguments;
  va_start(arguments, command);
  void* const argument = va_arg(arguments, void*); // an int comes in the same place
  va_end(arguments);
  bool const locks = command == F_OFD_SETLK || command == F_SETLK;
  return locks && fails("fcntl", file) ? -1 : next(file, command, argument);
}

} // extern "C"
