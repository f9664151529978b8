// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

/// \file
/// Files that are read and replaced as a whole. Each function returns 0, or the system's number of what went wrong.
namespace hyperspectral {

int read_file(std::filesystem::path const& path, std::string& bytes);

/// Writes beside the name, and renames when all of it is on the disk: a reader, and a program or machine that stops,
/// sees the old file or the new one, never a part. No partial file stays behind.
int replace_file(std::filesystem::path const& path, std::string_view bytes);

/// Writes to what is there and no regular file: a pipe, a device.
int write_in_place(std::filesystem::path const& path, std::string_view bytes);

/// Makes a folder and those above it that are not there, and brings their names to the disk.
int make_folders(std::filesystem::path const& folder);

} // namespace hyperspectral
