// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/error.hpp>

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <new>
#include <string>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace dchag::detail {

/// A path for a sentence.
inline std::string path_text(std::filesystem::path const& path) {
  return shortened(path.string(), 300);
}

/// "load_checkpoint: '<path>'", how a sentence about what a file holds begins.
inline std::string sentence_about(std::filesystem::path const& path) {
  return concat("load_checkpoint: '", path_text(path), "'");
}

/// Throws SystemError "File: cannot <what> '<path>': <what the system says>".
template <class... Parts>
[[noreturn]] void throw_system_error(int error, std::filesystem::path const& path, Parts const&... what) {
  throw SystemError(
      concat("File: cannot ", what..., " '", path_text(path), "': ", std::generic_category().message(error)));
}

/// Makes a call of the system, and makes it again for as long as a signal interrupts it.
template <class Call>
auto uninterrupted(Call const& call) {
  for (;;) {
    auto const result = call();
    if (result != -1 || errno != EINTR) return result;
  }
}

/// Returns what f returns. No memory for what it reads of a file is an error of the system that names the file.
template <class F>
auto with_memory_for(std::filesystem::path const& path, F const& f) {
  try {
    return f();
  } catch (std::bad_alloc const&) {
    throw_system_error(ENOMEM, path, "read");
  }
}

/// An open file of which every failure is a SystemError. POSIX.
class File {
public:
  /// A new file to write to, of a name that is not taken.
  static File create(std::filesystem::path const& path) { return File(path, "create", O_WRONLY | O_CREAT | O_EXCL); }
  /// A file that is there, to write to.
  static File modify(std::filesystem::path const& path) { return File(path, "write to", O_WRONLY); }
  /// A file that is there, to read. A pipe would have its reader wait, so it is asked for what it is first.
  static File read(std::filesystem::path const& path) {
    struct stat status = {};
    if (uninterrupted([&] { return ::stat(path.c_str(), &status); }) != 0) throw_system_error(errno, path, "read");
    if (S_ISDIR(status.st_mode)) throw_system_error(EISDIR, path, "read");
    require<SystemError>(S_ISREG(status.st_mode), "File: cannot read '", path_text(path), "': it is no regular file");
    return File(path, "read", O_RDONLY);
  }

  File(File&& other) noexcept : m_path(std::move(other.m_path)), m_file(std::exchange(other.m_file, -1)) {}
  File& operator=(File&& other) noexcept {
    std::swap(m_path, other.m_path);
    std::swap(m_file, other.m_file);
    return *this;
  }
  ~File() {
    if (m_file >= 0) ::close(m_file); // without finish(): the work failed already, or nothing was written
  }

  std::size_t size() const {
    struct stat status = {};
    if (uninterrupted([&] { return ::fstat(m_file, &status); }) != 0)
      throw_system_error(errno, m_path, "ask for the size of");
    return static_cast<std::size_t>(status.st_size);
  }

  void write(std::size_t offset, void const* data, std::size_t bytes) {
    auto const* const from = static_cast<char const*>(data);
    for (std::size_t done = 0; done < bytes;) {
      auto const written = uninterrupted([&] {
        return ::pwrite(m_file, from + done, (std::min)(bytes - done, most), static_cast<off_t>(offset + done));
      });
      if (written <= 0)
        throw_system_error(written < 0 ? errno : ENOSPC, m_path, "write ", bytes, " bytes at byte ", offset, " of");
      done += static_cast<std::size_t>(written);
    }
  }

  /// Bytes that the file had when it was asked for its size: that it has them no more is no damage of what is stored,
  /// somebody changes it.
  void read(std::size_t offset, void* data, std::size_t bytes) const {
    auto* const to = static_cast<char*>(data);
    for (std::size_t done = 0; done < bytes;) {
      auto const got = uninterrupted([&] {
        return ::pread(m_file, to + done, (std::min)(bytes - done, most), static_cast<off_t>(offset + done));
      });
      if (got < 0) throw_system_error(errno, m_path, "read ", bytes, " bytes at byte ", offset, " of");
      if (got == 0)
        throw SystemError(concat("File: '", path_text(m_path), "' ends at byte ", offset + done, ", expected ", bytes,
                                 " bytes at byte ", offset, ": it was cut while it was read"));
      done += static_cast<std::size_t>(got);
    }
  }

  /// Brings what was written to the disk, then closes.
  void finish() {
    if (uninterrupted([&] { return ::fsync(m_file); }) != 0) throw_system_error(errno, m_path, "bring to the disk");
    // Interrupted, it is closed all the same (Linux), and what was written is on the disk.
    if (::close(std::exchange(m_file, -1)) != 0 && errno != EINTR) throw_system_error(errno, m_path, "close");
  }

private:
  File(std::filesystem::path path, char const* what, int flags)
      : m_path(std::move(path)),
        m_file(uninterrupted([&] { return ::open(m_path.c_str(), flags | O_CLOEXEC, 0666); })) {
    if (m_file < 0) throw_system_error(errno, m_path, what);
  }

  static constexpr std::size_t most = std::size_t{1} << 30; // Linux reads and writes at most 2 GiB at once

  std::filesystem::path m_path;
  int m_file;
};

/// All of a small file.
inline std::string read_text(std::filesystem::path const& path) {
  auto const file = File::read(path);
  std::string text(file.size(), '\0');
  file.read(0, text.data(), text.size());
  return text;
}

} // namespace dchag::detail
