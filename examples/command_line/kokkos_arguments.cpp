// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "command_line/kokkos_arguments.hpp"

#include <algorithm>

namespace command_line {

KokkosArguments::KokkosArguments(int& given, char** values) {
  m_words.emplace_back(given > 0 ? values[0] : "");
  int kept = std::min(given, 1);
  for (int i = kept; i < given; ++i)
    if (std::string word = values[i]; word.starts_with("--kokkos-"))
      m_words.push_back(std::move(word));
    else
      values[kept++] = values[i];
  if (kept < given) values[kept] = nullptr;
  given = kept;
  for (auto& word : m_words) m_pointers.push_back(word.data());
  m_pointers.push_back(nullptr);
  argc = static_cast<int>(m_words.size());
}

bool KokkosArguments::ask_for_help() const {
  return std::ranges::find(m_words, "--kokkos-help") != m_words.end();
}

} // namespace command_line
