// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <filesystem>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

namespace hyperspectral {

/// Curves as CSV, one row at a time and each handed to the system at once, so that a run that is killed keeps what
/// it wrote. An existing file with the same header is continued, which is what a resumed run wants.
/// Throws: PictureError that names the path and the reason; the rows before stay whole.
class CurveWriter {
public:
  CurveWriter(std::filesystem::path path, std::vector<std::string> header);
  ~CurveWriter();
  CurveWriter(CurveWriter const&) = delete;
  CurveWriter& operator=(CurveWriter const&) = delete;

  /// As many values as the header has names; each is written with the digits that give it back exactly.
  void append(std::span<double const> row);
  void append(std::initializer_list<double> row) { append(std::span<double const>(row.begin(), row.size())); }

  /// Closes the file, which is when some file systems first say that they could not keep it. Nothing is appended
  /// afterwards.
  void finish();

private:
  void open_or_continue();
  void write_line(std::string const& line);
  [[noreturn]] void fail(std::string const& reason) const;

  std::filesystem::path m_path;
  std::vector<std::string> m_header;
  int m_file = -1;
};

} // namespace hyperspectral
