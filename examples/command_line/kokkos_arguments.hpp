// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <string>
#include <vector>

namespace command_line {

/// The arguments of a program that are meant for Kokkos: those that begin with `--kokkos-`. Kokkos is given no others,
/// since it answers `--help` with its own and takes some without that beginning, such as `--threads`.
///
///     command_line::KokkosArguments kokkos_arguments(argc, argv); // argc and argv keep the others
///     Kokkos::ScopeGuard const kokkos(kokkos_arguments.argc, kokkos_arguments.argv());
class KokkosArguments {
public:
  /// Takes them out of argc and argv.
  KokkosArguments(int& argc, char** argv);

  int argc = 1;
  char** argv() { return m_pointers.data(); }

  /// Whether `--kokkos-help` is among them.
  bool ask_for_help() const;

private:
  std::vector<std::string> m_words; // the name of the program first
  std::vector<char*> m_pointers;    // and a null pointer last
};

} // namespace command_line
