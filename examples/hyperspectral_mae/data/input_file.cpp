// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "data/input_file.hpp"

#include "data/error.hpp"

#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

namespace hyperspectral {

namespace fs = std::filesystem;

bool is_file(fs::path const& path) {
  std::error_code error;
  auto const status = fs::status(path, error);
  // Links that lead nowhere, and names that no file can have.
  bool const is_none = status.type() == fs::file_type::not_found || error == std::errc::filename_too_long ||
                       error == std::errc::too_many_symbolic_link_levels;
  if (error && !is_none) fail(path.string(), ": cannot be looked at, ", error.message());
  return fs::is_regular_file(status);
}

InputFile::InputFile(fs::path const& path) : m_name(path.string()), m_file(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
  if (m_file < 0) fail(m_name, ": cannot be opened, ", std::generic_category().message(errno));
}

InputFile::~InputFile() {
  ::close(m_file);
}

void InputFile::seek(std::uint64_t offset) {
  if (::lseek(m_file, static_cast<off_t>(offset), SEEK_SET) < 0)
    fail(m_name, ": cannot be read at byte ", offset, ", ", std::generic_category().message(errno));
}

std::size_t InputFile::read(void* data, std::size_t bytes) {
  constexpr std::size_t most = std::size_t{1} << 30; // Linux reads at most 2 GiB at once
  auto* const to = static_cast<char*>(data);
  std::size_t done = 0;
  while (done < bytes) {
    auto const got = ::read(m_file, to + done, bytes - done < most ? bytes - done : most);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(m_name, ": cannot be read, ", std::generic_category().message(errno));
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

std::string InputFile::rest() {
  constexpr std::size_t piece = std::size_t{1} << 16;
  std::string text;
  struct stat status = {};
  if (::fstat(m_file, &status) == 0) text.reserve(static_cast<std::size_t>(status.st_size) + piece);
  for (std::size_t got = piece; got == piece;) {
    auto const begin = text.size();
    text.resize(begin + piece);
    got = read(text.data() + begin, piece);
    text.resize(begin + got);
  }
  return text;
}

std::string first_bytes(fs::path const& path, std::size_t count) {
  InputFile file(path);
  std::string bytes(count, '\0');
  bytes.resize(file.read(bytes.data(), count));
  return bytes;
}

} // namespace hyperspectral
