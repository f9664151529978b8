// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace dchag::test {

/// A new folder of this program's own, whose name begins so.
/// Throws: std::runtime_error if the system makes none.
inline std::filesystem::path make_folder(std::string const& prefix) {
  auto name = (std::filesystem::temp_directory_path() / (prefix + std::string(6, 'X'))).string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("make_folder: cannot make " + name);
  return name;
}

} // namespace dchag::test
