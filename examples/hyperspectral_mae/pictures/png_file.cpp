// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "pictures/png_file.hpp"

#include "pictures/picture_error.hpp"
#include "pictures/whole_file.hpp"

#include <cerrno>
#include <png.h>
#include <string>
#include <system_error>
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

} // namespace

void write_png(std::filesystem::path const& path, Raster const& raster) {
  auto const bytes = encode(path, raster);

  std::error_code ignored;
  auto const resolved = std::filesystem::weakly_canonical(path, ignored); // a link stays, what it names is replaced
  auto const target = ignored || resolved.empty() ? path : resolved;
  auto const status = std::filesystem::status(target, ignored);
  if (std::filesystem::is_directory(status)) fail(path, reason_of(EISDIR));
  bool const in_place = std::filesystem::exists(status) && !std::filesystem::is_regular_file(status);
  std::string_view const text(reinterpret_cast<char const*>(bytes.data()), bytes.size());
  if (int const error = in_place ? write_in_place(target, text) : replace_file(target, text))
    fail(path, reason_of(error));
}

} // namespace hyperspectral
