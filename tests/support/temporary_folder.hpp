// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/comm/texts.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <support/made_folder.hpp>
#include <vector>

namespace dchag::test {

/// An empty folder, the same for all ranks, that goes with this object.
class TemporaryFolder {
public:
  explicit TemporaryFolder(comm::Communicator const& world) : m_world(world) {
    std::string made;
    if (world.rank() == 0) made = make_folder("dchag_test_").string();
    m_path = comm::broadcast_text(world, made, 0);
  }
  TemporaryFolder(TemporaryFolder const&) = delete;
  TemporaryFolder& operator=(TemporaryFolder const&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    comm::all_reduce(m_world, 0, comm::Reduce::sum); // nobody is in it any more
    if (m_world.rank() == 0) std::filesystem::remove_all(m_path, ignored);
  }

  std::filesystem::path operator/(std::string const& name) const { return m_path / name; }
  std::filesystem::path const& path() const { return m_path; }

  /// The names in it, ascending.
  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (auto const& entry : std::filesystem::directory_iterator(m_path))
      found.push_back(entry.path().filename().string());
    std::sort(found.begin(), found.end());
    return found;
  }

private:
  comm::Communicator const& m_world;
  std::filesystem::path m_path;
};

inline std::string bytes_of(std::filesystem::path const& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_bytes(std::filesystem::path const& path, std::string const& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

} // namespace dchag::test
