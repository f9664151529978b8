// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/core/math.hpp>

#include <support/compare.hpp>
#include <support/spaces.hpp>

namespace dchag::test {

template <class Space, class T>
struct Evaluate {
  Tensor<Space, T, 1> x, exp, erf; // (N)
  KOKKOS_FUNCTION void operator()(std::size_t i) const {
    exp(i) = math::exp(x(i));
    erf(i) = math::erf(x(i));
  }
};

template <class Space, class T>
struct Results {
  std::vector<double> x, exp, erf;

  explicit Results(std::vector<double> const& arguments) {
    Space const exec;
    Extents<1> const extents{arguments.size()};
    auto const device_x = allocate<T>(exec, "x", extents);
    auto const device_exp = allocate<T>(exec, "exp", extents);
    auto const device_erf = allocate<T>(exec, "erf", extents);
    exec.fence();
    auto const host = to_host(device_x);
    for (std::size_t i = 0; i < arguments.size(); ++i) host(i) = static_cast<T>(arguments[i]);
    Kokkos::deep_copy(device_x, host);
    Kokkos::parallel_for("dchag::test::math", Kokkos::RangePolicy<Space>(exec, 0, arguments.size()),
                         Evaluate<Space, T>{device_x, device_exp, device_erf});
    exec.fence();
    x = flat(device_x); // as rounded
    exp = flat(device_exp);
    erf = flat(device_erf);
  }
};

TEST_CASE_TEMPLATE("math: exp and erf are as accurate as they say", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  std::vector<double> arguments;
  for (int i = -870000; i <= 880000; i += 7) arguments.push_back(i * 1e-4);
  Results<typename Case::ExecutionSpace, T> const found(arguments);
  double worst_exp = 0; // in units of the last place
  double worst_erf = 0; // absolute
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    double const exact = std::exp(found.x[i]);
    double const unit = std::ldexp(1.0, std::ilogb(exact) + 1 - std::numeric_limits<T>::digits);
    REQUIRE(math::is_finite(found.exp[i]));
    REQUIRE(math::is_finite(found.erf[i]));
    worst_exp = std::max(worst_exp, std::fabs(found.exp[i] - exact) / unit);
    worst_erf = std::max(worst_erf, std::fabs(found.erf[i] - std::erf(found.x[i])));
  }
  CHECK(worst_exp < tolerance<T>(1.5, 4));
  CHECK(worst_erf < tolerance<T>(4e-7, 0x1p-51));
}

TEST_CASE_TEMPLATE("math: exp and erf at the ends", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  double const infinity = std::numeric_limits<double>::infinity();
  Results<typename Case::ExecutionSpace, T> const found({0, -infinity, infinity, -1e4, 1e4, std::nan("")});
  CHECK(found.exp[0] == 1);
  CHECK(found.erf[0] == 0);
  for (std::size_t low : {1u, 3u}) {
    CHECK(found.exp[low] >= 0);
    CHECK(found.exp[low] < 1.2e-38);
    CHECK(found.erf[low] == doctest::Approx(-1));
  }
  for (std::size_t high : {2u, 4u}) {
    CHECK(found.exp[high] > 2e38);
    CHECK(found.erf[high] == doctest::Approx(1));
  }
  CHECK(math::is_nan(found.exp[5]));
  CHECK(math::is_nan(found.erf[5]));
}

TEST_CASE("math: both ways to take multiples of log 2 out of a number agree") {
  double worst = 0;
  for (int i = -873000; i <= 883000; i += 7) {
    float const x = static_cast<float>(i) * 1e-4f;
    for (auto const& [rest, exponent] : {math::detail::reduce(x), math::detail::reduce_by_log_2_in_integers(x)}) {
      double const n = static_cast<double>(exponent) - 127;
      worst =
          std::max(worst, std::fabs(static_cast<double>(x) - (n * 0.69314718055994531 + static_cast<double>(rest))));
      REQUIRE(std::fabs(rest) < 0.36f);
    }
  }
  CHECK(worst < 0x1p-24);
}

TEST_CASE_TEMPLATE("math: is_finite, is_nan and equal, whatever the compiler believes", T, float, double) {
  T const zero = T(0), infinity = math::bit_cast<T>(math::detail::infinity_bits<T>), nan = infinity - infinity;
  for (T const x : {zero, T(1), T(-2.5), std::numeric_limits<T>::max(), std::numeric_limits<T>::lowest(),
                    std::numeric_limits<T>::min(), std::numeric_limits<T>::denorm_min()}) {
    CHECK(math::is_finite(x));
    CHECK_FALSE(math::is_nan(x));
    CHECK(math::equal(x, x));
  }
  for (T const x : {infinity, -infinity, std::numeric_limits<T>::max() * T(2)}) {
    CHECK_FALSE(math::is_finite(x));
    CHECK_FALSE(math::is_nan(x));
  }
  for (T const x : {nan, -nan, nan * zero, nan + T(1), std::sqrt(nan)}) {
    CHECK_FALSE(math::is_finite(x));
    CHECK(math::is_nan(x));
  }
  CHECK(math::equal(zero, -zero));
  CHECK_FALSE(math::equal(T(1), T(1) + std::numeric_limits<T>::epsilon()));
  CHECK_FALSE(math::equal(T(2), T(1)));
}

TEST_CASE("math: max and min") {
  CHECK(math::max(1, 2) == 2);
  CHECK(math::max(2.5, -3.0) == 2.5);
  CHECK(math::min(1, 2) == 1);
  CHECK(math::min(2.5, -3.0) == -3.0);
}

} // namespace dchag::test
