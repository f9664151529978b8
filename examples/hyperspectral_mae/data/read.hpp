// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "data/cube.hpp"

#include <filesystem>
#include <vector>

namespace hyperspectral {

/// Reads an ENVI cube (given its header or its data) or a TIFF. A TIFF with an ENVI header beside it is read by the
/// header, which knows the wavelengths, unless its pixels are no plain block of numbers: then ask read_tiff.
/// Throws: DataError.
Cube read_cube(std::filesystem::path const& path);

/// The cubes behind each path, which is a folder (its ENVI headers and TIFFs, other files ignored), a list (.txt or
/// .lst: one path per line, relative to the list, `#` begins a comment) or a cube; sorted by file name, each once.
/// Throws: DataError when a path does not exist or nothing is found.
std::vector<std::filesystem::path> list_cubes(std::vector<std::filesystem::path> const& paths);

} // namespace hyperspectral
