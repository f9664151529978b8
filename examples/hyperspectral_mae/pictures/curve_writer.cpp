// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "pictures/curve_writer.hpp"

#include "pictures/picture_error.hpp"
#include "pictures/whole_file.hpp"

#include <cerrno>
#include <charconv>
#include <fcntl.h>
#include <iterator>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace hyperspectral {
namespace {

std::string joined(std::vector<std::string> const& names) {
  std::string line;
  for (auto const& name : names) line += (line.empty() ? "" : ",") + name;
  return line + "\n";
}

std::string reason_of(int error) {
  return std::generic_category().message(error);
}

} // namespace

CurveWriter::CurveWriter(std::filesystem::path path, std::vector<std::string> header)
    : m_path(std::move(path)), m_header(std::move(header)) {
  if (m_header.empty()) fail("the header has no names");
  for (auto const& name : m_header)
    if (name.empty() || name.find_first_of(",\"\r\n") != std::string::npos)
      fail("'" + name + "' cannot name a column, expected text without commas, quotes and line breaks");

  // Without O_TRUNC: opening never costs the rows that are there.
  m_file = ::open(m_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (m_file < 0) fail(reason_of(errno));
  try {
    open_or_continue();
  } catch (...) { // a constructor that throws has no destructor
    ::close(m_file);
    throw;
  }
}

CurveWriter::~CurveWriter() {
  if (m_file >= 0) ::close(m_file);
}

void CurveWriter::finish() {
  if (::close(std::exchange(m_file, -1)) != 0) fail(reason_of(errno));
}

void CurveWriter::open_or_continue() {
  std::string const head = joined(m_header);
  std::error_code error;
  if (!std::filesystem::is_regular_file(m_path, error)) return write_line(head);

  std::string text;
  if (int const failed = read_file(m_path, text)) fail(reason_of(failed));
  // Each row goes out with its line break, so a last line without one was torn by a full disk or a crash.
  auto const end = text.rfind('\n');
  auto const whole = end == std::string::npos ? 0 : end + 1;
  if (whole == 0 && head.compare(0, text.size(), text) != 0) fail("it is not a table of curves");
  if (whole != 0 && text.compare(0, text.find('\n') + 1, head) != 0)
    fail("its header is '" + text.substr(0, text.find('\n')) + "', expected '" + head.substr(0, head.size() - 1) + "'");
  if (whole != text.size() && ::ftruncate(m_file, static_cast<off_t>(whole)) != 0) fail(reason_of(errno));
  if (whole == 0) write_line(head);
}

void CurveWriter::append(std::span<double const> row) {
  if (row.size() != m_header.size())
    fail("a row has " + std::to_string(row.size()) + " values, expected " + std::to_string(m_header.size()));
  std::string line;
  for (double const value : row) {
    char digits[32];
    auto const end = std::to_chars(std::begin(digits), std::end(digits), value).ptr;
    line += line.empty() ? "" : ",";
    line.append(digits, end);
  }
  write_line(line + "\n");
}

void CurveWriter::write_line(std::string const& line) {
  for (std::size_t done = 0; done < line.size();) {
    auto const written = ::write(m_file, line.data() + done, line.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      int const error = written < 0 ? errno : ENOSPC;
      // Take the torn part back; where that fails too, continuing the file does it.
      auto const length = ::lseek(m_file, 0, SEEK_END);
      if (done > 0 && length >= static_cast<off_t>(done) && ::ftruncate(m_file, length - static_cast<off_t>(done)) != 0)
        fail(reason_of(error) + ", and its last row is torn");
      fail(reason_of(error));
    }
    done += static_cast<std::size_t>(written);
  }
}

void CurveWriter::fail(std::string const& reason) const {
  throw PictureError("CurveWriter: cannot write '" + m_path.string() + "': " + reason);
}

} // namespace hyperspectral
