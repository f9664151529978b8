// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <mpi.h>

#include <concepts>
#include <cstddef>
#include <cstdint>

namespace dchag::comm {

namespace detail {
template <class T, class... Types>
inline constexpr bool is_one_of = (std::same_as<T, Types> || ...);
} // namespace detail

/// What can be sent: the numbers that MPI has a type of the same size for.
template <class T>
concept Communicable = detail::is_one_of<T, char, unsigned char, int, unsigned, long, unsigned long, long long,
                                         unsigned long long, float, double>;

/// What can be summed and compared: MPI takes `char` for a letter, not for a number.
template <class T>
concept Reducible = Communicable<T> && !std::same_as<T, char>;

/// MPI's name of a C++ type. The fixed-width integers and std::size_t are among the types listed.
template <Communicable T>
MPI_Datatype datatype() {
  if constexpr (std::same_as<T, char>) return MPI_CHAR;
  if constexpr (std::same_as<T, unsigned char>) return MPI_UNSIGNED_CHAR;
  if constexpr (std::same_as<T, int>) return MPI_INT;
  if constexpr (std::same_as<T, unsigned>) return MPI_UNSIGNED;
  if constexpr (std::same_as<T, long>) return MPI_LONG;
  // By its width: Open MPI 4.1.2 to 4.1.4 compare MPI_UNSIGNED_LONG as if it had a sign (their issue 10525).
  if constexpr (std::same_as<T, unsigned long>) return sizeof(T) == 8 ? MPI_UINT64_T : MPI_UINT32_T;
  if constexpr (std::same_as<T, long long>) return MPI_LONG_LONG;
  if constexpr (std::same_as<T, unsigned long long>) return MPI_UNSIGNED_LONG_LONG;
  if constexpr (std::same_as<T, float>) return MPI_FLOAT;
  if constexpr (std::same_as<T, double>) return MPI_DOUBLE;
}

} // namespace dchag::comm
