// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "pictures/whole_file.hpp"

#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace hyperspectral {
namespace {

// Makes a call again for as long as a signal interrupts it.
template <class Call>
auto uninterrupted(Call const& call) {
  for (;;) {
    auto const result = call();
    if (result != -1 || errno != EINTR) return result;
  }
}

int error_of(int result) {
  return result == 0 ? 0 : errno;
}

int write_and_close(int file, std::string_view bytes, bool synchronize) {
  int error = 0;
  for (std::size_t done = 0; error == 0 && done < bytes.size();) {
    auto const written = uninterrupted([&] { return ::write(file, bytes.data() + done, bytes.size() - done); });
    if (written <= 0)
      error = written < 0 ? errno : ENOSPC;
    else
      done += static_cast<std::size_t>(written);
  }
  if (error == 0 && synchronize) error = error_of(uninterrupted([&] { return ::fsync(file); }));
  if (::close(file) != 0 && error == 0 && errno != EINTR) error = errno;
  return error;
}

std::filesystem::path folder_of(std::filesystem::path const& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

int sync_folder(std::filesystem::path const& folder) {
  int const file = uninterrupted([&] { return ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (file < 0) return errno;
  int const error = error_of(uninterrupted([&] { return ::fsync(file); }));
  ::close(file);
  return error == EINVAL ? 0 : error; // there are file systems that cannot
}

// A name nobody else has, beside the target, because a rename does not cross file systems.
int open_beside(std::filesystem::path const& target, std::filesystem::path& beside) {
  for (int attempt = 0; attempt < 100; ++attempt) {
    beside = target;
    beside += ".partial-" + std::to_string(::getpid()) + "-" + std::to_string(attempt);
    int const file =
        uninterrupted([&] { return ::open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666); });
    if (file >= 0 || errno != EEXIST) return file;
  }
  return -1;
}

} // namespace

int read_file(std::filesystem::path const& path, std::string& bytes) {
  bytes.clear();
  int const file = uninterrupted([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC); });
  if (file < 0) return errno;
  char part[1 << 14];
  ssize_t count = 0;
  while ((count = uninterrupted([&] { return ::read(file, part, sizeof part); })) > 0)
    bytes.append(part, static_cast<std::size_t>(count));
  int const error = count < 0 ? errno : 0;
  ::close(file);
  return error;
}

int replace_file(std::filesystem::path const& path, std::string_view bytes) {
  std::filesystem::path beside;
  int const file = open_beside(path, beside);
  if (file < 0) return errno;
  int error = write_and_close(file, bytes, true);
  if (error == 0) error = error_of(std::rename(beside.c_str(), path.c_str()));
  if (error == 0) return sync_folder(folder_of(path));
  ::unlink(beside.c_str());
  return error;
}

int write_in_place(std::filesystem::path const& path, std::string_view bytes) {
  int const file = uninterrupted([&] { return ::open(path.c_str(), O_WRONLY | O_CLOEXEC); });
  return file < 0 ? errno : write_and_close(file, bytes, false);
}

int make_folders(std::filesystem::path const& folder) {
  struct stat status = {};
  if (folder.empty() || ::stat(folder.c_str(), &status) == 0) return 0;
  if (errno != ENOENT) return errno;
  if (int const error = make_folders(folder.parent_path())) return error;
  if (::mkdir(folder.c_str(), 0777) != 0) return errno == EEXIST ? 0 : errno; // "a/" after "a", or by somebody else
  return sync_folder(folder_of(folder));
}

} // namespace hyperspectral
