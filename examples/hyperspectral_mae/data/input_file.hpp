// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

namespace hyperspectral {

/// Whether there is a regular file of this name.
/// Throws: DataError if the system does not tell: a file that is there but cannot be looked at is not passed over.
bool is_file(std::filesystem::path const& path);

/// A file that is read. POSIX: the streams of the standard library tell the end of a file and a failure apart only by
/// luck, and not why it failed.
class InputFile {
public:
  /// Throws: DataError "<path>: cannot be opened, <what the system says>".
  explicit InputFile(std::filesystem::path const& path);
  InputFile(InputFile const&) = delete;
  InputFile& operator=(InputFile const&) = delete;
  ~InputFile();

  void seek(std::uint64_t offset);

  /// Reads the next bytes; returns how many, fewer only at the end of the file.
  /// Throws: DataError "<path>: cannot be read, <what the system says>".
  std::size_t read(void* data, std::size_t bytes);

  /// The rest of the file.
  std::string rest();

private:
  std::string m_name;
  int m_file;
};

/// The first bytes of a file; fewer if it has no more.
std::string first_bytes(std::filesystem::path const& path, std::size_t count);

} // namespace hyperspectral
