// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "data/error.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <optional>
#include <random>
#include <string>
#include <string_view>

namespace hyperspectral::test {

/// A new folder that goes with the object.
class Folder {
public:
  Folder() {
    std::random_device device;
    m_path = std::filesystem::temp_directory_path() /
             ("hyperspectral_" + std::to_string(device()) + "_" + std::to_string(device()));
    std::filesystem::create_directories(m_path);
  }
  Folder(Folder const&) = delete;
  Folder& operator=(Folder const&) = delete;
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(m_path, ignored);
  }
  std::filesystem::path operator/(std::string const& name) const { return m_path / name; }
  std::filesystem::path const& path() const { return m_path; }

private:
  std::filesystem::path m_path;
};

inline std::filesystem::path write(std::filesystem::path const& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return path;
}

inline std::string read(std::filesystem::path const& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// The bytes of a number in the wanted order.
template <class Number>
std::string bytes_of(Number number, bool big_endian = false) {
  std::string result(sizeof number, '\0');
  std::copy_n(reinterpret_cast<char const*>(&number), sizeof number, result.begin());
  if (big_endian != (std::endian::native == std::endian::big)) std::ranges::reverse(result);
  return result;
}

/// The sentence of the DataError that the call throws; empty when it throws none.
template <class Call>
std::string message_of(Call const& call) {
  try {
    call();
  } catch (DataError const& error) {
    return error.what();
  }
  return {};
}

inline bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != text.npos;
}

/// A real file below the folder DCHAG_DATA_DIR; says so and returns nothing when it is absent.
inline std::optional<std::filesystem::path> real_data(std::string const& name) {
  auto const* const root = std::getenv("DCHAG_DATA_DIR");
  auto const path = std::filesystem::path(root != nullptr ? root : "DCHAG_DATA_DIR") / name;
  if (root != nullptr && std::filesystem::exists(path)) return path;
  std::cout << "skipped: needs " << path.string() << (root != nullptr ? "" : " (DCHAG_DATA_DIR is not set)") << '\n';
  return std::nullopt;
}

} // namespace hyperspectral::test
