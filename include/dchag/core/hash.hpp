// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

namespace dchag {

/// A hash of words added one after the other: FNV-1a, where a text's words are its bytes. The same on every machine.
/// Source: Fowler, Noll and Vo; 64 bits.
class Hash {
public:
  void add(std::uint64_t word) { m_value = (m_value ^ word) * 0x100000001b3u; }
  void add(char byte) { add(std::uint64_t{static_cast<unsigned char>(byte)}); }
  std::uint64_t value() const { return m_value; }

private:
  std::uint64_t m_value = 0xcbf29ce484222325u;
};

} // namespace dchag
