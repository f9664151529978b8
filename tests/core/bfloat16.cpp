// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/core/bfloat16.hpp>
#include <dchag/core/parallel.hpp>

#include <support/arrays.hpp>
#include <support/spaces.hpp>

namespace core_bfloat16 {

using namespace dchag;
using namespace dchag::test;

TEST_CASE("bfloat16 rounds to the nearest number of 8 bits, to even between two") {
  auto const rounded = [](float x) { return static_cast<float>(bfloat16(x)); };
  for (float const x : {0.f, 1.f, -1.f, 2.f, 0.5f, -0.375f, 255.f, 1e30f * 0.f}) CHECK(rounded(x) == x);
  CHECK(rounded(1 + 1.f / 256) == 1.f);             // between 1 and 1 + 1/128: even is 1
  CHECK(rounded(1 + 3.f / 256) == 1 + 2.f / 128);   // between 1 + 1/128 and 1 + 2/128
  CHECK(rounded(1 + 1.01f / 256) == 1 + 1.f / 128); // just above the middle
  CHECK(rounded(257.f) == 256.f);
  CHECK(rounded(259.f) == 260.f);
  CHECK(rounded(-257.f) == -256.f);
  CHECK(static_cast<double>(bfloat16(1e-3)) == doctest::Approx(1e-3).epsilon(1. / 256));
  CHECK(static_cast<float>(bfloat16(7)) == 7.f);
}

TEST_CASE("bfloat16 keeps signs, infinity and NaN, and overflows to infinity") {
  float const infinity = std::numeric_limits<float>::infinity();
  CHECK(bfloat16(math::bit_cast<float>(0x80000000u)).bits == 0x8000u);
  CHECK(static_cast<float>(bfloat16(infinity)) == infinity);
  CHECK(static_cast<float>(bfloat16(-infinity)) == -infinity);
  CHECK(static_cast<float>(bfloat16(std::numeric_limits<float>::max())) == infinity);
  CHECK(math::is_nan(static_cast<float>(bfloat16(std::numeric_limits<float>::quiet_NaN()))));
  CHECK(math::is_nan(static_cast<float>(bfloat16(math::bit_cast<float>(0x7f800001u))))); // all its digits are low
  CHECK(math::is_nan(static_cast<float>(bfloat16(math::bit_cast<float>(0xffffffffu)))));
}

namespace {
template <class Space>
void round_all(Space const& exec, Tensor<Space, float, 1> const& x) {
  auto const halves = allocate<bfloat16>(exec, "dchag::test::halves", extents_of(x));
  for_each_element(
      exec, "dchag::test::round", 1, x.extent(0),
      KOKKOS_LAMBDA(std::size_t, std::size_t i) { halves(i) = bfloat16(x(i)); });
  for_each_element(
      exec, "dchag::test::widen", 1, x.extent(0), KOKKOS_LAMBDA(std::size_t, std::size_t i) { x(i) = halves(i); });
  exec.fence();
}
} // namespace

TEST_CASE_TEMPLATE("bfloat16 in kernels is within half a unit of what it rounds", Case, DCHAG_TEST_CASES) {
  typename Case::ExecutionSpace const exec;
  auto const x = random_tensor<float>(exec, 1, "x", {1000});
  auto const before = flat(x);
  round_all(exec, x);
  auto const after = flat(x);
  for (std::size_t i = 0; i < before.size(); ++i) CHECK(std::fabs(after[i] - before[i]) <= std::fabs(before[i]) / 256);
}

} // namespace core_bfloat16
