// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "data/raw.hpp"

#include <bit>
#include <cmath>
#include <utility>

namespace hyperspectral {

namespace {

// Assembling the number byte by byte asks nothing of this machine's own byte order or of the address.
std::uint64_t assemble(unsigned char const* raw, std::size_t bytes, bool big_endian) {
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < bytes; ++i) bits = (bits << 8U) | raw[big_endian ? i : bytes - 1 - i];
  return bits;
}

double decode(unsigned char const* raw, SampleType type, bool big_endian) {
  auto const bits = assemble(raw, bytes_per_sample(type), big_endian);
  switch (type) {
  case SampleType::int8:
    return static_cast<std::int8_t>(bits);
  case SampleType::int16:
    return static_cast<std::int16_t>(bits);
  case SampleType::int32:
    return static_cast<std::int32_t>(bits);
  case SampleType::float32:
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits));
  case SampleType::float64:
    return std::bit_cast<double>(bits);
  case SampleType::uint8:
  case SampleType::uint16:
  case SampleType::uint32:
    break;
  }
  return static_cast<double>(bits);
}

} // namespace

std::size_t bytes_per_sample(SampleType type) {
  switch (type) {
  case SampleType::uint8:
  case SampleType::int8:
    return 1;
  case SampleType::uint16:
  case SampleType::int16:
    return 2;
  case SampleType::uint32:
  case SampleType::int32:
  case SampleType::float32:
    return 4;
  case SampleType::float64:
    break;
  }
  return 8;
}

CubeBuilder::CubeBuilder(Cube frame, RawFormat format) : m_cube(std::move(frame)), m_format(format) {
  m_cube.values.resize(m_cube.bands * m_cube.pixels());
  m_cube.good.resize(m_cube.bands, true);
  if (!m_format.ignore) return;
  m_missing.resize(m_cube.values.size());
  // A header writes -3.4028235e+38 in decimal; the file has the nearest float.
  if (m_format.type == SampleType::float32) m_format.ignore = static_cast<float>(*m_format.ignore);
}

void CubeBuilder::put(std::size_t band, std::size_t line, std::size_t sample, unsigned char const* raw) {
  auto const place = (band * m_cube.lines + line) * m_cube.samples + sample;
  auto const value = decode(raw, m_format.type, m_format.big_endian);
  if (m_format.ignore) {
    m_missing[place] = value == *m_format.ignore || (std::isnan(value) && std::isnan(*m_format.ignore));
  }
  m_cube.values[place] = static_cast<float>(value / m_format.scale);
}

Cube CubeBuilder::finish() {
  for (std::size_t b = 0; b < m_cube.bands && !m_missing.empty(); ++b) {
    auto const values = m_cube.band(b);
    auto const first = b * values.size();
    double sum = 0;
    std::size_t present = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (m_missing[first + i]) continue;
      sum += static_cast<double>(values[i]);
      ++present;
    }
    if (present == 0) m_cube.good[b] = false;
    if (present == 0 || !m_cube.good[b]) continue;
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (m_missing[first + i]) values[i] = static_cast<float>(sum / static_cast<double>(present));
    }
    m_cube.filled += values.size() - present;
  }
  auto cube = drop_bad_bands(std::move(m_cube));
  require_finite(cube);
  return cube;
}

} // namespace hyperspectral
