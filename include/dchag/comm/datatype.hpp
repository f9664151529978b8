// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/comm/detail/check.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <type_traits>

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
  if constexpr (std::same_as<T, unsigned long>) return MPI_UNSIGNED_LONG;
  if constexpr (std::same_as<T, long long>) return MPI_LONG_LONG;
  if constexpr (std::same_as<T, unsigned long long>) return MPI_UNSIGNED_LONG_LONG;
  if constexpr (std::same_as<T, float>) return MPI_FLOAT;
  if constexpr (std::same_as<T, double>) return MPI_DOUBLE;
}

/// How the ranks' numbers become one.
enum class Reduce { sum, max, min };

namespace detail {
/// What MPI calls for an operation of ours, on memory that the host reads: in_out[i] = op(in[i], in_out[i]).
template <Reducible T, Reduce op>
void reduce_numbers(void* in, void* in_out, int* count, MPI_Datatype*) {
  auto const* const other = static_cast<T const*>(in);
  auto* const result = static_cast<T*>(in_out);
  for (int i = 0; i < *count; ++i)
    result[i] = op == Reduce::max ? (std::max)(result[i], other[i]) : (std::min)(result[i], other[i]);
}

/// Made where it is first needed; it lives as long as MPI does.
template <Reducible T, Reduce op>
MPI_Op own_operation() {
  static MPI_Op const operation = [] {
    MPI_Op made = MPI_OP_NULL;
    check(MPI_Op_create(&reduce_numbers<T, op>, 1, &made), "MPI_Op_create");
    return made;
  }();
  return operation;
}

/// Whether an operation of ours reduces such numbers: MPICH 4.0.2 compares every unsigned type as if it had a sign,
/// Open MPI 4.1.2 to 4.1.4 MPI_UNSIGNED_LONG (its issue 10525).
template <Reducible T>
inline constexpr bool has_own_operation = std::is_unsigned_v<T>;

template <Reducible T>
MPI_Op operation(Reduce op) {
  if (op == Reduce::sum) return MPI_SUM;
  if constexpr (has_own_operation<T>)
    return op == Reduce::max ? own_operation<T, Reduce::max>() : own_operation<T, Reduce::min>();
  else
    return op == Reduce::max ? MPI_MAX : MPI_MIN;
}
} // namespace detail

} // namespace dchag::comm
