// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "pictures/raster.hpp"

#include <filesystem>

namespace hyperspectral {

/// Writes the picture beside its name and renames it when all of it is on the disk, so that a reader sees the old
/// file or the new one, never a part. What is there and no regular file (a pipe, a device) is written in place.
/// Throws: PictureError that names the path and the system's reason; no partial file stays behind.
void write_png(std::filesystem::path const& path, Raster const& raster);

} // namespace hyperspectral
