// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "pictures/png_file.hpp"

#include "pictures/picture_error.hpp"

#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <png.h>
#include <string>
#include <system_error>
#include <unistd.h>
#include <vector>

namespace hyperspectral {
namespace {

[[noreturn]] void fail(std::filesystem::path const& path, std::string const& reason) {
  throw PictureError("write_png: cannot write '" + path.string() + "': " + reason);
}

std::string reason_of(int error) {
  return std::generic_category().message(error);
}

// In memory, by the calls of libpng that report their errors without a longjmp over our destructors.
std::vector<png_byte> encode(std::filesystem::path const& path, Raster const& raster) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(raster.width());
  image.height = static_cast<png_uint_32>(raster.height());
  image.format = PNG_FORMAT_RGB;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
  std::vector<png_byte> bytes(size);
  if (!png_image_write_to_memory(&image, bytes.data(), &size, 0, raster.pixels().data(), 0, nullptr))
    fail(path, image.message);
  bytes.resize(size);
  return bytes;
}

// The error of the first call that failed, or 0.
int write_all(int file, std::vector<png_byte> const& bytes) {
  for (std::size_t done = 0; done < bytes.size();) {
    auto const written = ::write(file, bytes.data() + done, bytes.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    if (written == 0) return ENOSPC;
    done += static_cast<std::size_t>(written);
  }
  return 0;
}

int write_and_close(int file, std::vector<png_byte> const& bytes, bool synchronize) {
  int error = write_all(file, bytes);
  if (!error && synchronize && ::fsync(file) != 0) error = errno;
  if (::close(file) != 0 && !error) error = errno;
  return error;
}

// A name nobody else has, beside the target, because a rename does not cross file systems.
int open_beside(std::filesystem::path const& target, std::filesystem::path& beside) {
  for (int attempt = 0; attempt < 100; ++attempt) {
    beside = target;
    beside += ".partial-" + std::to_string(::getpid()) + "-" + std::to_string(attempt);
    int const file = ::open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file >= 0 || errno != EEXIST) return file;
  }
  return -1;
}

} // namespace

void write_png(std::filesystem::path const& path, Raster const& raster) {
  auto const bytes = encode(path, raster);

  std::error_code ignored;
  auto const resolved = std::filesystem::weakly_canonical(path, ignored); // a link stays, what it names is replaced
  auto const target = ignored || resolved.empty() ? path : resolved;
  auto const status = std::filesystem::status(target, ignored);
  if (std::filesystem::is_directory(status)) fail(path, reason_of(EISDIR));
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
    int const file = ::open(target.c_str(), O_WRONLY | O_CLOEXEC);
    if (file < 0) fail(path, reason_of(errno));
    if (int const error = write_and_close(file, bytes, false)) fail(path, reason_of(error));
    return;
  }

  std::filesystem::path beside;
  int const file = open_beside(target, beside);
  if (file < 0) fail(path, reason_of(errno));
  int error = write_and_close(file, bytes, true);
  if (!error && ::rename(beside.c_str(), target.c_str()) != 0) error = errno;
  if (error) {
    ::unlink(beside.c_str());
    fail(path, reason_of(error));
  }
}

} // namespace hyperspectral
