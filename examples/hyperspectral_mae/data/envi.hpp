// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "data/cube.hpp"

#include <filesystem>

namespace hyperspectral {

/// Reads a cube in the format of ENVI: a text header beside a file of bare numbers.
///
/// `path` is the header or the data file. The data are looked for beside `name.hdr` as `name`, then `name.raw .img .dat
/// .bsq .bil .bip .bin .tif .tiff`; the header beside `name.ext` as `name.ext.hdr`, then `name.hdr`.
/// Read: samples, lines, bands, data type (1 2 3 4 5 12 13), interleave (bsq bil bip), byte order, header offset,
/// wavelength, wavelength units, bbl, reflectance scale factor, data ignore value. The first five are obligatory.
/// Units: wavelengths come out in nm. Without a unit, numbers below 100 are taken for micrometres; a unit that is no
/// length leaves the wavelengths empty. Band names are taken as they are, if there are as many as bands.
/// Throws: DataError.
Cube read_envi(std::filesystem::path const& path);

/// Whether the file is there and begins as such a header does; other programs use the ending .hdr too.
/// Throws: DataError if it is there and cannot be opened.
bool is_envi_header(std::filesystem::path const& path);

/// Where read_envi looks for the header of a data file; empty when there is none.
std::filesystem::path envi_header_of(std::filesystem::path const& data);

} // namespace hyperspectral
