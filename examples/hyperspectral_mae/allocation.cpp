// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause

// What the standard library allocates with, so that a lack of memory says how much was wanted: std::bad_alloc does not.
// They throw and return as the standard says; the forms for arrays, and those that do not throw, call these.
#include <cstdio>
#include <cstdlib>
#include <new>

namespace {

class NoMemory : public std::bad_alloc {
public:
  explicit NoMemory(std::size_t bytes) noexcept {
    std::snprintf(m_text, sizeof m_text, "out of memory: %zu bytes are wanted", bytes);
  }
  char const* what() const noexcept override { return m_text; }

private:
  char m_text[64]; // there is no memory for a std::string
};

} // namespace

void* operator new(std::size_t bytes) {
  for (;;) {
    if (void* const data = std::malloc(bytes > 0 ? bytes : 1)) return data;
    auto const handler = std::get_new_handler();
    if (handler == nullptr) throw NoMemory(bytes);
    handler();
  }
}

void operator delete(void* data) noexcept {
  std::free(data);
}
void operator delete(void* data, std::size_t) noexcept {
  std::free(data);
}
