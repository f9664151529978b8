// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/concepts.hpp>
#include <dchag/core/error.hpp>

#include <array>
#include <new>
#include <string>
#include <string_view>

namespace dchag {

namespace detail {
template <class T, std::size_t Rank>
struct DataType {
  using type = typename DataType<T, Rank - 1>::type*;
};
template <class T>
struct DataType<T, 0> {
  using type = T;
};

template <class View, std::size_t Rank, std::size_t... Axes>
View make_view(typename View::pointer_type data, std::array<std::size_t, Rank> const& extents,
               std::index_sequence<Axes...>) {
  return View(data, extents[Axes]...);
}
template <class View, class Allocation, std::size_t Rank, std::size_t... Axes>
View make_view(Allocation const& allocation, std::array<std::size_t, Rank> const& extents,
               std::index_sequence<Axes...>) {
  return View(allocation, extents[Axes]...);
}

[[noreturn]] inline void throw_no_memory(std::string const& label, double bytes) {
  bool const large = bytes >= 0x1p30;
  throw MemoryError(
      concat("out of memory: '", label, "' takes ", bytes * (large ? 0x1p-30 : 0x1p-20), large ? " GiB" : " MiB"));
}

/// What f makes, a View of so many bytes. Kokkos would take the product of sizes that 64 bits do not count for a small
/// one, and says in several lines, as a std::runtime_error, that there is no memory.
/// Throws: MemoryError with the label and the size; Error if Kokkos is not running, which is then noticed here first.
template <class F>
auto allocated(std::string const& label, double bytes, F const& f) {
  require<Error>(Kokkos::is_initialized(), label,
                 ": Kokkos is not initialized, or finalized already; expected a Kokkos::ScopeGuard that lives longer");
  if (!(bytes < 0x1p62)) throw_no_memory(label, bytes);
  try {
    return f();
  } catch (std::bad_alloc const&) {
    throw_no_memory(label, bytes);
  } catch (std::runtime_error const& error) {
    if (std::string_view(error.what()).find("allocat") == std::string_view::npos) throw;
    throw_no_memory(label, bytes);
  }
}
} // namespace detail

template <std::size_t Rank>
using Extents = std::array<std::size_t, Rank>;

/// A dense array whose last axis is contiguous, in the memory of an execution space.
template <class ExecutionSpace, class T, std::size_t Rank>
using Tensor =
    Kokkos::View<typename detail::DataType<T, Rank>::type, Kokkos::LayoutRight, typename ExecutionSpace::memory_space>;

/// The same on the host, for copies in and out.
template <class T, std::size_t Rank>
using HostTensor = Kokkos::View<typename detail::DataType<T, Rank>::type, Kokkos::LayoutRight, Kokkos::HostSpace>;

/// Allocates without initialising, ordered on `exec`. Throws: MemoryError; Error unless Kokkos is running.
template <class T, KokkosExecutionSpace ExecutionSpace, std::size_t Rank>
Tensor<ExecutionSpace, T, Rank> allocate(ExecutionSpace const& exec, std::string const& label,
                                         Extents<Rank> const& extents) {
  double bytes = sizeof(T);
  for (auto n : extents) bytes *= static_cast<double>(n);
  return detail::allocated(label, bytes, [&] {
    return detail::make_view<Tensor<ExecutionSpace, T, Rank>>(
        Kokkos::view_alloc(exec, Kokkos::WithoutInitializing, label), extents, std::make_index_sequence<Rank>());
  });
}

/// Makes `tensor` have these extents: keeps the allocation when it has them already, so that a step repeated with the
/// same sizes allocates nothing. What it held is lost otherwise.
template <KokkosExecutionSpace ExecutionSpace, class View, std::size_t Rank>
void reserve(ExecutionSpace const& exec, View& tensor, std::string const& label, Extents<Rank> const& extents) {
  static_assert(View::rank == Rank, "reserve: as many extents as axes");
  bool same = tensor.data() != nullptr;
  for (std::size_t axis = 0; axis < Rank; ++axis) same = same && tensor.extent(axis) == extents[axis];
  if (same) return;
  tensor = View(); // free first: old and new need not live together
  tensor = allocate<typename View::non_const_value_type>(exec, label, extents);
}

/// The same contiguous numbers under other extents; does not own them.
template <std::size_t Rank, class View>
auto reshape(View const& tensor, Extents<Rank> const& extents) {
  static_assert(std::is_same_v<typename View::array_layout, Kokkos::LayoutRight>, "reshape: needs a LayoutRight view");
  std::size_t count = 1;
  for (auto n : extents) count *= n;
  KOKKOS_ASSERT(count == tensor.size() && tensor.span_is_contiguous());
  static_cast<void>(count);
  using Reshaped = Kokkos::View<typename detail::DataType<typename View::value_type, Rank>::type, Kokkos::LayoutRight,
                                typename View::memory_space>;
  return detail::make_view<Reshaped>(tensor.data(), extents, std::make_index_sequence<Rank>());
}

/// (..., D) as (N, D): all axes but the last are taken together.
template <class View>
auto rows(View const& tensor) {
  static_assert(View::rank >= 1, "rows: needs at least one axis");
  std::size_t const columns = tensor.extent(View::rank - 1);
  return reshape<2>(tensor, {columns == 0 ? 0 : tensor.size() / columns, columns});
}

/// One index of the leading axis of a rank 3 tensor: (A, N, D) -> (N, D).
template <class View>
auto slice(View const& tensor, std::size_t index) {
  static_assert(View::rank == 3, "slice: takes a rank 3 tensor");
  using Slice = Kokkos::View<typename View::value_type**, Kokkos::LayoutRight, typename View::memory_space>;
  return Slice(tensor.data() + index * tensor.extent(1) * tensor.extent(2), tensor.extent(1), tensor.extent(2));
}

/// Indices [begin, end) of the leading axis of a rank 3 tensor.
template <class View>
auto slices(View const& tensor, std::size_t begin, std::size_t end) {
  static_assert(View::rank == 3, "slices: takes a rank 3 tensor");
  using Slices = Kokkos::View<typename View::value_type***, Kokkos::LayoutRight, typename View::memory_space>;
  return Slices(tensor.data() + begin * tensor.extent(1) * tensor.extent(2), end - begin, tensor.extent(1),
                tensor.extent(2));
}

} // namespace dchag
