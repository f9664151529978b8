// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/train/detail/file.hpp>

#include <cstdio>
#include <dirent.h>
#include <optional>
#include <vector>

/// \file
/// Names in folders: what is there, and how files get and lose names. Every failure is a SystemError. POSIX.
namespace dchag::detail {

/// What the system says of a file or folder; none if there is nothing of this name.
inline std::optional<struct stat> status_of(std::filesystem::path const& path) {
  struct stat status = {};
  if (uninterrupted([&] { return ::stat(path.c_str(), &status); }) == 0) return status;
  if (errno != ENOENT && errno != ENOTDIR) throw_system_error(errno, path, "ask for");
  return std::nullopt;
}

inline bool is_there(std::filesystem::path const& path) {
  return status_of(path).has_value();
}

/// "." for a name alone.
inline std::filesystem::path folder_of(std::filesystem::path const& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

/// The names in a folder, in no order.
inline std::vector<std::string> names_in(std::filesystem::path const& folder) {
  DIR* const open = ::opendir(folder.c_str());
  if (open == nullptr) throw_system_error(errno, folder, "list the folder");
  struct Closer {
    DIR* folder;
    ~Closer() { ::closedir(folder); }
  } const closer{open};
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    auto const* const entry = ::readdir(open);
    if (entry == nullptr && errno != 0) throw_system_error(errno, folder, "list the folder");
    if (entry == nullptr) return names;
    std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(std::move(name));
  }
}

/// Brings the names in a folder to the disk.
inline void sync_folder(std::filesystem::path const& folder) {
  int const file = uninterrupted([&] { return ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (file < 0) throw_system_error(errno, folder, "read");
  int const failed = uninterrupted([&] { return ::fsync(file); }) == 0 ? 0 : errno;
  ::close(file);
  if (failed != 0 && failed != EINVAL) // which file systems say that cannot do it
    throw_system_error(failed, folder, "bring to the disk the folder");
}

/// Makes a folder and those above it that are not there, and brings their names to the disk.
/// Throws: SystemError "<where>: cannot make the folder ...".
inline void make_folders(char const* where, std::filesystem::path const& folder) {
  auto const fail = [&](std::string const& why) {
    throw SystemError(concat(where, ": cannot make the folder '", path_text(folder), "': ", why));
  };
  std::vector<std::filesystem::path> missing; // the lowest first
  for (auto at = folder; !at.empty() && !is_there(at); at = at.parent_path()) missing.push_back(at);
  for (; !missing.empty(); missing.pop_back()) {
    int const made = uninterrupted([&] { return ::mkdir(missing.back().c_str(), 0777); });
    if (made != 0 && errno != EEXIST) fail(std::generic_category().message(errno)); // by another job meanwhile
    if (made == 0) sync_folder(folder_of(missing.back()));
  }
  auto const status = status_of(folder);
  if (!status || !S_ISDIR(status->st_mode)) fail("there is a file of this name");
}

/// Gives a file another name in its folder, in place of a file of that name. `sync_folder` brings it to the disk.
inline void rename_file(std::filesystem::path const& from, std::filesystem::path const& to) {
  if (uninterrupted([&] { return std::rename(from.c_str(), to.c_str()); }) != 0)
    throw_system_error(errno, from, "give the name '", path_text(to), "' to");
}

/// Never a folder. Returns whether there is no such file any more.
inline bool remove_file(std::filesystem::path const& path) {
  return uninterrupted([&] { return ::unlink(path.c_str()); }) == 0 || errno == ENOENT;
}

} // namespace dchag::detail
