// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "data/cube.hpp"

#include <filesystem>

namespace hyperspectral {

/// Reads a TIFF whose samples per pixel are the bands: one image, uncompressed strips, chunky or planar, either byte
/// order, 8, 16 or 32 bit integers, 32 or 64 bit floating point; GDAL's nodata entry counts. No wavelengths: TIFF has
/// no agreed place for them.
/// Throws: DataError, also for tiles, compression, BigTIFF and several images, which are not read.
Cube read_tiff(std::filesystem::path const& path);

/// Whether the file is there and begins as a TIFF does. Throws: DataError if it is there and cannot be opened.
bool is_tiff(std::filesystem::path const& path);

} // namespace hyperspectral
