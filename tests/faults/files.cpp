// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "strike.hpp"

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

// The calls on files, by the names under which a C++ program and its standard library make them.
namespace {

using namespace dchag::faults;

Calls opens{"open"}, reads{"read"}, writes{"write"}, syncs{"sync"}, closes{"close"}, renames{"rename"},
    removes{"remove"}, makes{"mkdir"}, cuts{"truncate"}, lists{"list"}, stats{"stat"}, locks{"lock"}, links{"link"};

template <class Function>
Function* following(Function*, char const* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

/// A path that is perhaps below an open folder.
bool is_struck(int folder, char const* path) {
  char text[4096];
  return dchag::faults::is_struck(path[0] == '/' || folder == AT_FDCWD ? path : path_of(folder, text, sizeof text));
}

Blow strike_path(Calls& calls, int folder, char const* path) {
  return is_struck(folder, path) ? strike(calls, path) : Blow();
}

/// The report tells how the file was opened, and its path.
Blow strike_file(Calls& calls, int file) {
  char text[4096 + 8] = {};
  if (!dchag::faults::is_struck(path_of(file, text + 3, sizeof text - 3))) return {};
  bool const written = (syscall(SYS_fcntl, file, F_GETFL) & O_ACCMODE) != O_RDONLY;
  std::memcpy(text, written ? "w: " : "r: ", 3);
  return strike(calls, text);
}

template <class Result>
Result failed(Blow const& blow, Result result) {
  errno = blow.error;
  return result;
}

/// What moves bytes: all of them, or half.
template <class Move>
ssize_t move(Calls& calls, int file, std::size_t bytes, Move const& next) {
  auto const blow = strike_file(calls, file);
  if (blow.error != 0) return failed(blow, ssize_t{-1});
  auto const done = next(blow.half ? (bytes + 1) / 2 : bytes);
  if (blow.kill) end();
  return done;
}

} // namespace

#define DCHAG_OPEN(name)                                                                                               \
  extern "C" int name(char const* path, int flags, ...) {                                                              \
    static auto* const next = following(&::name, #name);                                                               \
    va_list rest;                                                                                                      \
    va_start(rest, flags);                                                                                             \
    mode_t const mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;                                             \
    va_end(rest);                                                                                                      \
    if (auto const blow = strike_path(opens, AT_FDCWD, path)) return failed(blow, -1);                                 \
    return next(path, flags, mode);                                                                                    \
  }
DCHAG_OPEN(open)
DCHAG_OPEN(open64)
#undef DCHAG_OPEN

#define DCHAG_OPENAT(name)                                                                                             \
  extern "C" int name(int folder, char const* path, int flags, ...) {                                                  \
    static auto* const next = following(&::name, #name);                                                               \
    va_list rest;                                                                                                      \
    va_start(rest, flags);                                                                                             \
    mode_t const mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;                                             \
    va_end(rest);                                                                                                      \
    if (auto const blow = strike_path(opens, folder, path)) return failed(blow, -1);                                   \
    return next(folder, path, flags, mode);                                                                            \
  }
DCHAG_OPENAT(openat)
DCHAG_OPENAT(openat64)
#undef DCHAG_OPENAT

// DCHAG_CALL(<result on failure>, <calls>, <folder>, <path>, <type>, <name>, <parameters>, <arguments>, <specifier>)
#define DCHAG_CALL(failure, calls, folder, path, type, name, parameters, arguments, specifier)                         \
  extern "C" type name parameters specifier {                                                                          \
    static auto* const next = following(&::name, #name);                                                               \
    if (auto const blow = strike_path(calls, folder, path)) return failed(blow, static_cast<type>(failure));           \
    return next arguments;                                                                                             \
  }
DCHAG_CALL(nullptr, opens, AT_FDCWD, path, FILE*, fopen, (char const* path, char const* mode), (path, mode), )
DCHAG_CALL(nullptr, opens, AT_FDCWD, path, FILE*, fopen64, (char const* path, char const* mode), (path, mode), )
DCHAG_CALL(nullptr, opens, AT_FDCWD, path, DIR*, opendir, (char const* path), (path), )
DCHAG_CALL(-1, renames, AT_FDCWD, from, int, rename, (char const* from, char const* to), (from, to), noexcept)
DCHAG_CALL(-1, renames, a, from, int, renameat, (int a, char const* from, int b, char const* to), (a, from, b, to),
           noexcept)
DCHAG_CALL(-1, links, AT_FDCWD, from, int, link, (char const* from, char const* to), (from, to), noexcept)
DCHAG_CALL(-1, removes, AT_FDCWD, path, int, unlink, (char const* path), (path), noexcept)
DCHAG_CALL(-1, removes, folder, path, int, unlinkat, (int folder, char const* path, int flags), (folder, path, flags),
           noexcept)
DCHAG_CALL(-1, removes, AT_FDCWD, path, int, remove, (char const* path), (path), noexcept)
DCHAG_CALL(-1, removes, AT_FDCWD, path, int, rmdir, (char const* path), (path), noexcept)
DCHAG_CALL(-1, makes, AT_FDCWD, path, int, mkdir, (char const* path, mode_t mode), (path, mode), noexcept)
DCHAG_CALL(-1, cuts, AT_FDCWD, path, int, truncate, (char const* path, off_t length), (path, length), noexcept)
DCHAG_CALL(-1, cuts, AT_FDCWD, path, int, truncate64, (char const* path, off64_t length), (path, length), noexcept)
DCHAG_CALL(-1, stats, AT_FDCWD, path, int, stat, (char const* path, struct stat* status), (path, status), noexcept)
DCHAG_CALL(-1, stats, AT_FDCWD, path, int, stat64, (char const* path, struct stat64* status), (path, status), noexcept)
DCHAG_CALL(-1, stats, AT_FDCWD, path, int, lstat, (char const* path, struct stat* status), (path, status), noexcept)
DCHAG_CALL(-1, stats, AT_FDCWD, path, int, lstat64, (char const* path, struct stat64* status), (path, status), noexcept)
#undef DCHAG_CALL

// DCHAG_FILE_CALL(<calls>, <name>, <parameters>, <arguments>, <specifier>): of an open file.
#define DCHAG_FILE_CALL(calls, name, parameters, arguments, specifier)                                                 \
  extern "C" int name parameters specifier {                                                                           \
    static auto* const next = following(&::name, #name);                                                               \
    if (auto const blow = strike_file(calls, file)) return failed(blow, -1);                                           \
    return next arguments;                                                                                             \
  }
DCHAG_FILE_CALL(syncs, fsync, (int file), (file), )
DCHAG_FILE_CALL(syncs, fdatasync, (int file), (file), )
DCHAG_FILE_CALL(cuts, ftruncate, (int file, off_t length), (file, length), noexcept)
DCHAG_FILE_CALL(cuts, ftruncate64, (int file, off64_t length), (file, length), noexcept)
DCHAG_FILE_CALL(stats, fstat, (int file, struct stat* status), (file, status), noexcept)
DCHAG_FILE_CALL(stats, fstat64, (int file, struct stat64* status), (file, status), noexcept)
DCHAG_FILE_CALL(locks, flock, (int file, int operation), (file, operation), noexcept)
DCHAG_FILE_CALL(locks, lockf, (int file, int command, off_t length), (file, command, length), )
#undef DCHAG_FILE_CALL

// Of fcntl, what takes or gives a lock.
#define DCHAG_FCNTL(name)                                                                                              \
  extern "C" int name(int file, int command, ...) {                                                                    \
    static auto* const next = following(&::name, #name);                                                               \
    va_list rest;                                                                                                      \
    va_start(rest, command);                                                                                           \
    void* const argument = va_arg(rest, void*);                                                                        \
    va_end(rest);                                                                                                      \
    bool const is_lock =                                                                                               \
        command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK || command == F_OFD_SETLKW;                \
    if (auto const blow = is_lock ? strike_file(locks, file) : Blow()) return failed(blow, -1);                        \
    return next(file, command, argument);                                                                              \
  }
DCHAG_FCNTL(fcntl)
DCHAG_FCNTL(fcntl64)
#undef DCHAG_FCNTL

extern "C" ssize_t read(int file, void* data, std::size_t bytes) {
  static auto* const next = following(&::read, "read");
  return move(reads, file, bytes, [&](std::size_t count) { return next(file, data, count); });
}
extern "C" ssize_t write(int file, void const* data, std::size_t bytes) {
  static auto* const next = following(&::write, "write");
  return move(writes, file, bytes, [&](std::size_t count) { return next(file, data, count); });
}
extern "C" ssize_t pread(int file, void* data, std::size_t bytes, off_t offset) {
  static auto* const next = following(&::pread, "pread");
  return move(reads, file, bytes, [&](std::size_t count) { return next(file, data, count, offset); });
}
extern "C" ssize_t pread64(int file, void* data, std::size_t bytes, off64_t offset) {
  static auto* const next = following(&::pread64, "pread64");
  return move(reads, file, bytes, [&](std::size_t count) { return next(file, data, count, offset); });
}
extern "C" ssize_t pwrite(int file, void const* data, std::size_t bytes, off_t offset) {
  static auto* const next = following(&::pwrite, "pwrite");
  return move(writes, file, bytes, [&](std::size_t count) { return next(file, data, count, offset); });
}
extern "C" ssize_t pwrite64(int file, void const* data, std::size_t bytes, off64_t offset) {
  static auto* const next = following(&::pwrite64, "pwrite64");
  return move(writes, file, bytes, [&](std::size_t count) { return next(file, data, count, offset); });
}
// Half of several pieces are the first half of the pieces.
extern "C" ssize_t readv(int file, iovec const* pieces, int count) {
  static auto* const next = following(&::readv, "readv");
  return move(reads, file, static_cast<std::size_t>(count),
              [&](std::size_t some) { return next(file, pieces, static_cast<int>(some)); });
}
extern "C" ssize_t writev(int file, iovec const* pieces, int count) {
  static auto* const next = following(&::writev, "writev");
  return move(writes, file, static_cast<std::size_t>(count),
              [&](std::size_t some) { return next(file, pieces, static_cast<int>(some)); });
}

// A close that fails has closed all the same.
extern "C" int close(int file) {
  static auto* const next = following(&::close, "close");
  auto const blow = strike_file(closes, file);
  int const result = next(file);
  return blow ? failed(blow, -1) : result;
}
extern "C" int fclose(FILE* stream) {
  static auto* const next = following(&::fclose, "fclose");
  int const file = fileno(stream);
  auto const blow = file >= 0 ? strike_file(closes, file) : Blow();
  int const result = next(stream);
  return blow ? failed(blow, EOF) : result;
}

extern "C" dirent* readdir(DIR* folder) {
  static auto* const next = following(&::readdir, "readdir");
  if (auto const blow = strike_file(lists, dirfd(folder))) return failed(blow, static_cast<dirent*>(nullptr));
  return next(folder);
}
extern "C" dirent64* readdir64(DIR* folder) {
  static auto* const next = following(&::readdir64, "readdir64");
  if (auto const blow = strike_file(lists, dirfd(folder))) return failed(blow, static_cast<dirent64*>(nullptr));
  return next(folder);
}
