// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "strike.hpp"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <sys/auxv.h>

// The allocations of the program itself, its standard library and Kokkos, after MPI began; not those of MPI. They are
// told from each other by the library from which the call comes.
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
}

namespace {

using namespace dchag::faults;

Calls allocations{"allocate"};

bool is_own(void* caller) {
  Dl_info program{}, library{};
  if (dladdr(caller, &library) == 0) return false;
  if (dladdr(reinterpret_cast<void*>(getauxval(AT_ENTRY)), &program) != 0 && library.dli_fbase == program.dli_fbase)
    return true;
  for (char const* name : {"libstdc++", "libc++", "kokkos"})
    if (std::strstr(library.dli_fname, name) != nullptr) return true;
  return false;
}

/// Returns 0 or the error with which it is to fail.
int refused(std::size_t bytes, void* caller) {
  if (bytes < struck_bytes() || !has_begun() || !is_own(caller)) return 0;
  char what[32];
  std::snprintf(what, sizeof what, "%zu", bytes);
  return strike(allocations, what).error;
}

} // namespace

extern "C" void* malloc(std::size_t bytes) {
  if (int const error = refused(bytes, __builtin_return_address(0))) return errno = error, nullptr;
  return __libc_malloc(bytes);
}
extern "C" void* calloc(std::size_t count, std::size_t size) {
  if (int const error = refused(count * size, __builtin_return_address(0))) return errno = error, nullptr;
  return __libc_calloc(count, size);
}
extern "C" void* realloc(void* data, std::size_t bytes) {
  if (int const error = refused(bytes, __builtin_return_address(0))) return errno = error, nullptr;
  return __libc_realloc(data, bytes);
}
extern "C" void* memalign(std::size_t alignment, std::size_t bytes) {
  if (int const error = refused(bytes, __builtin_return_address(0))) return errno = error, nullptr;
  return __libc_memalign(alignment, bytes);
}
extern "C" void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
  if (int const error = refused(bytes, __builtin_return_address(0))) return errno = error, nullptr;
  return __libc_memalign(alignment, bytes);
}
extern "C" int posix_memalign(void** data, std::size_t alignment, std::size_t bytes) {
  if (int const error = refused(bytes, __builtin_return_address(0))) return error;
  void* const own = __libc_memalign(alignment, bytes);
  if (own == nullptr) return ENOMEM;
  *data = own;
  return 0;
}
