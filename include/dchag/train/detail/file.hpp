// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/error.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <string>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace dchag::detail {

/// Throws Error "File: cannot <what> '<path>': <what the system says>".
template <class... Parts>
[[noreturn]] void throw_system_error(int error, std::filesystem::path const& path, Parts const&... what) {
  throw Error(concat("File: cannot ", what..., " '", path.string(), "': ", std::generic_category().message(error)));
}

/// An open file of which every failure is an Error. POSIX.
class File {
public:
  /// An empty file to write to; what was there is lost.
  static File create(std::filesystem::path const& path) { return File(path, "create", O_WRONLY | O_CREAT | O_TRUNC); }
  /// A file that is there, to write to.
  static File modify(std::filesystem::path const& path) { return File(path, "write to", O_WRONLY); }
  static File read(std::filesystem::path const& path) { return File(path, "read", O_RDONLY); }

  File(File&& other) noexcept : m_path(std::move(other.m_path)), m_file(std::exchange(other.m_file, -1)) {}
  File& operator=(File&& other) noexcept {
    std::swap(m_path, other.m_path);
    std::swap(m_file, other.m_file);
    return *this;
  }
  ~File() {
    if (m_file >= 0) ::close(m_file); // without close(): the work failed already, or nothing was written
  }

  std::size_t size() const {
    struct stat status = {};
    if (::fstat(m_file, &status) != 0) throw_system_error(errno, m_path, "ask for the size of");
    return static_cast<std::size_t>(status.st_size);
  }

  void write(std::size_t offset, void const* data, std::size_t bytes) {
    auto const* const from = static_cast<char const*>(data);
    for (std::size_t done = 0; done < bytes;) {
      auto const written =
          ::pwrite(m_file, from + done, std::min(bytes - done, most), static_cast<off_t>(offset + done));
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0)
        throw_system_error(written < 0 ? errno : ENOSPC, m_path, "write ", bytes, " bytes at byte ", offset, " of");
      done += static_cast<std::size_t>(written);
    }
  }

  void read(std::size_t offset, void* data, std::size_t bytes) const {
    auto* const to = static_cast<char*>(data);
    for (std::size_t done = 0; done < bytes;) {
      auto const got = ::pread(m_file, to + done, std::min(bytes - done, most), static_cast<off_t>(offset + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) throw_system_error(errno, m_path, "read ", bytes, " bytes at byte ", offset, " of");
      require<Error>(got > 0, "File: '", m_path.string(), "' ends at byte ", offset + done, ", expected ", bytes,
                     " bytes at byte ", offset);
      done += static_cast<std::size_t>(got);
    }
  }

  /// Brings what was written to the disk, then closes.
  void finish() {
    if (::fsync(m_file) != 0) throw_system_error(errno, m_path, "bring to the disk");
    if (::close(std::exchange(m_file, -1)) != 0) throw_system_error(errno, m_path, "close");
  }

private:
  File(std::filesystem::path path, char const* what, int flags)
      : m_path(std::move(path)), m_file(::open(m_path.c_str(), flags | O_CLOEXEC, 0666)) {
    if (m_file < 0) throw_system_error(errno, m_path, what);
  }

  static constexpr std::size_t most = std::size_t{1} << 30; // Linux writes at most 2 GiB at once

  std::filesystem::path m_path;
  int m_file;
};

/// Gives a file another name in its folder, in place of a file of that name, and brings the folder to the disk.
inline void rename_file(std::filesystem::path const& from, std::filesystem::path const& to) {
  if (std::rename(from.c_str(), to.c_str()) != 0)
    throw_system_error(errno, from, "give the name '", to.string(), "' to");
  auto const folder = to.has_parent_path() ? to.parent_path() : std::filesystem::path(".");
  int const file = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (file < 0) throw_system_error(errno, folder, "read");
  int const failed = ::fsync(file) == 0 ? 0 : errno;
  ::close(file);
  if (failed != 0 && failed != EINVAL) // which file systems that cannot say
    throw_system_error(failed, folder, "bring to the disk the folder");
}

/// All of a small file.
inline std::string read_text(std::filesystem::path const& path) {
  auto const file = File::read(path);
  std::string text(file.size(), '\0');
  file.read(0, text.data(), text.size());
  return text;
}

} // namespace dchag::detail
