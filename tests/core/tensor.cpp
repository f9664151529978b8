// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/core/tensor.hpp>

#include <numeric>
#include <support/allocations.hpp>
#include <support/compare.hpp>
#include <support/spaces.hpp>

namespace core_tensor {

using namespace dchag;
using namespace dchag::test;

namespace {

/// 0, 1, 2, ... in row-major order.
template <class T, class Space, std::size_t Rank>
Tensor<Space, T, Rank> counting(Space const& exec, Extents<Rank> const& extents) {
  auto const tensor = allocate<T>(exec, "counting", extents);
  exec.fence();
  auto const host = to_host(tensor);
  std::iota(host.data(), host.data() + host.size(), T(0));
  Kokkos::deep_copy(tensor, host);
  return tensor;
}

} // namespace

TEST_CASE_TEMPLATE("allocate: says what there is no memory for, and how much it takes", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  using Space = typename Case::ExecutionSpace;
  auto const sentence = [](Extents<2> const& extents) -> std::string {
    try {
      allocate<T>(Space(), "dchag::test::x", extents);
    } catch (MemoryError const& error) {
      return error.what();
    }
    return "";
  };
  std::size_t const large = std::size_t{1} << 48; // times 4 or 8 bytes: more than any address space
  auto const gibibytes = concat(static_cast<double>(large) * double{sizeof(T)} * 0x1p-30);
  CHECK(sentence({large, 1}) == concat("out of memory: 'dchag::test::x' takes ", gibibytes, " GiB"));
  // 64 bits count the product as 0, and Kokkos would make a View without memory
  CHECK(sentence({std::size_t{1} << 32, std::size_t{1} << 32}).rfind("out of memory: 'dchag::test::x' takes ", 0) == 0);
  CHECK(sentence({std::size_t{1} << 61, std::size_t{1} << 61}).rfind("out of memory: 'dchag::test::x' takes ", 0) == 0);
}

TEST_CASE_TEMPLATE("allocate: makes a contiguous view of these extents under this label", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  AllocationCounter const counter;
  auto const tensor = allocate<T>(Space(), "dchag::test::x", Extents<3>{2, 3, 5});
  static_assert(std::is_same_v<decltype(tensor), Tensor<Space, T, 3> const>);
  CHECK(shape_text(extents_of(tensor)) == "(2, 3, 5)");
  CHECK(tensor.span_is_contiguous());
  CHECK(tensor.label() == "dchag::test::x");
  CHECK(counter.number() == 1);
}

TEST_CASE_TEMPLATE("reserve: keeps an allocation that fits, and never holds two", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Space const exec;
  AllocationCounter const counter;
  Tensor<Space, T, 2> tensor;
  reserve(exec, tensor, "x", Extents<2>{30, 40});
  auto const* const first = tensor.data();
  std::size_t const bytes = counter.live();
  CHECK(bytes >= 30 * 40 * sizeof(T));
  reserve(exec, tensor, "x", Extents<2>{30, 40});
  CHECK(tensor.data() == first);
  CHECK(counter.number() == 1);
  reserve(exec, tensor, "x", Extents<2>{40, 30});
  CHECK(tensor.extent(0) == 40);
  CHECK(tensor.extent(1) == 30);
  CHECK(counter.number() == 2);
  CHECK(counter.peak() == bytes);
}

TEST_CASE_TEMPLATE("reshape: shows the same numbers under other extents", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  auto const tensor = counting<T>(Space(), Extents<3>{2, 3, 4});
  auto const matrix = reshape<2>(tensor, {6, 4});
  CHECK(matrix.data() == tensor.data());
  CHECK(to_host(matrix)(5, 1) == T(21));
  CHECK(relative_error(matrix, tensor) == 0);
  Kokkos::View<T const***, Kokkos::LayoutRight, typename Space::memory_space> const constant = tensor;
  auto const line = reshape<1>(constant, {24});
  static_assert(std::is_same_v<typename decltype(line)::value_type, T const>);
  CHECK(to_host(line)(23) == T(23));
}

TEST_CASE_TEMPLATE("rows: takes all axes but the last together", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Space const exec;
  auto const matrix = rows(counting<T>(exec, Extents<3>{2, 3, 4}));
  CHECK(shape_text(extents_of(rows(allocate<T>(exec, "x", Extents<4>{2, 3, 4, 5})))) == "(24, 5)");
  CHECK(shape_text(extents_of(rows(allocate<T>(exec, "x", Extents<1>{5})))) == "(1, 5)");
  CHECK(shape_text(extents_of(rows(allocate<T>(exec, "x", Extents<3>{2, 3, 0})))) == "(0, 0)");
  CHECK(shape_text(extents_of(matrix)) == "(6, 4)");
}

TEST_CASE_TEMPLATE("slice and slices: are parts of the leading axis", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  auto const tensor = counting<T>(Space(), Extents<3>{4, 3, 2});
  auto const one = to_host(slice(tensor, 2));
  CHECK(shape_text(extents_of(one)) == "(3, 2)");
  CHECK(one(0, 0) == T(12));
  CHECK(one(2, 1) == T(17));
  auto const two = to_host(slices(tensor, 1, 3));
  CHECK(shape_text(extents_of(two)) == "(2, 3, 2)");
  CHECK(two(0, 0, 0) == T(6));
  CHECK(two(1, 2, 1) == T(17));
  CHECK(slices(tensor, 2, 2).size() == 0);
}

} // namespace core_tensor
