// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/error.hpp>
#include <dchag/core/number.hpp>
#include <dchag/layers/parameter.hpp>

#include <cmath>
#include <string>
#include <type_traits>
#include <vector>

namespace dchag {

/// The sum over ranks where there is only one.
struct OneRank {
  double operator()(double value) const { return value; }
};

namespace detail {
template <class Values>
struct SumOfSquares {
  Values values; // (N)
  KOKKOS_FUNCTION void operator()(std::size_t i, double& sum) const {
    auto const x = static_cast<double>(values(i));
    sum += x * x;
  }
};

template <class Values>
struct Scale {
  Values values; // (N)
  typename Values::value_type factor;
  KOKKOS_FUNCTION void operator()(std::size_t i) const { values(i) *= factor; }
};

/// Where it is false, the caller's std::isfinite is true of every norm. A program that asks math::is_finite says so by
/// defining DCHAG_ALLOW_FINITE_MATH_ONLY.
#if defined(DCHAG_ALLOW_FINITE_MATH_ONLY)
template <class Model>
inline constexpr bool callers_see_nan = true;
#else
template <class Model>
inline constexpr bool callers_see_nan = !math::detail::finite_math_only;
#endif

/// In double, so that a float gradient neither overflows nor loses its small parts. Waits for the result.
template <KokkosExecutionSpace ExecutionSpace, class Values>
double sum_of_squares(ExecutionSpace const& exec, Values const& values) {
  using Policy = Kokkos::RangePolicy<ExecutionSpace, Kokkos::IndexType<std::size_t>>;
  double sum = 0;
  Kokkos::parallel_reduce("dchag::train::sum_of_squares", Policy(exec, 0, values.extent(0)),
                          SumOfSquares<Values>{values}, sum);
  return sum;
}
} // namespace detail

/// The Euclidean norm of all gradients of the model, taken as one vector: replicated parameters count once, of
/// distributed ones the parts of all ranks. The same number on every rank, and in every run with as many threads.
///
/// Collective: calls `sum_over_ranks(double) -> double` exactly once, also when this rank holds no distributed
/// parameter. It returns the sum of its argument over all ranks, the same on all: one all_reduce of one double. Where
/// parameters are sharded too, it is `sum_over_ranks(replicated, distributed) -> double` and returns the whole sum.
template <KokkosExecutionSpace ExecutionSpace, HasParameters Model, class SumOverRanks = OneRank>
double gradient_norm(ExecutionSpace const& exec, Model& model, SumOverRanks const& sum_over_ranks = {}) {
  static_assert(detail::callers_see_nan<Model>,
                "gradient_norm: under -ffinite-math-only, a part of -ffast-math, std::isfinite takes a norm of NaN for "
                "a number: add -fno-finite-math-only, or ask dchag::math::is_finite instead and define "
                "DCHAG_ALLOW_FINITE_MATH_ONLY");
  double replicated = 0;
  double distributed = 0;
  model.for_each_parameter([&](auto& parameter) {
    bool const everywhere = parameter.spec().placement == Placement::replicated;
    (everywhere ? replicated : distributed) += detail::sum_of_squares(exec, parameter.gradients());
  });
  if constexpr (std::is_invocable_v<SumOverRanks const&, double, double>)
    return std::sqrt(sum_over_ranks(replicated, distributed));
  else
    return std::sqrt(replicated + sum_over_ranks(distributed));
}

/// Scales all gradients so that their norm is at most `max_norm`; returns the norm they had. When that is not finite
/// the gradients are left alone, and the caller should skip the step: no factor would make them of use. Ask
/// `math::is_finite`, which also sees NaN under -ffast-math.
///
/// Collective: as `gradient_norm`.
/// Throws Error, before communicating, unless max_norm is above 0 (infinity only measures).
template <KokkosExecutionSpace ExecutionSpace, HasParameters Model, class SumOverRanks = OneRank>
double clip_gradients(ExecutionSpace const& exec, Model& model, double max_norm,
                      SumOverRanks const& sum_over_ranks = {}) {
  require<Error>(!math::is_nan(max_norm) && max_norm > 0, "clip_gradients: max_norm is ", max_norm,
                 ", expected above 0");
  double const norm = gradient_norm(exec, model, sum_over_ranks);
  if (!math::is_finite(norm) || norm <= max_norm) return norm;
  model.for_each_parameter([&](auto& parameter) {
    auto const& gradients = parameter.gradients();
    using Values = std::remove_cvref_t<decltype(gradients)>;
    using Policy = Kokkos::RangePolicy<ExecutionSpace, Kokkos::IndexType<std::size_t>>;
    auto const factor = static_cast<typename Values::value_type>(max_norm / norm);
    Kokkos::parallel_for("dchag::train::clip", Policy(exec, 0, parameter.size()),
                         detail::Scale<Values>{gradients, factor});
  });
  return norm;
}

struct ParameterNorm {
  std::string name;
  double value;    ///< Euclidean norm of the values that this rank holds
  double gradient; ///< and of their gradients
};

/// The norms of each parameter by itself, in the model's order, to see where a training goes wrong. Waits for each.
template <KokkosExecutionSpace ExecutionSpace, HasParameters Model>
std::vector<ParameterNorm> parameter_norms(ExecutionSpace const& exec, Model& model) {
  std::vector<ParameterNorm> norms;
  model.for_each_parameter([&](auto& parameter) {
    norms.push_back({parameter.name(), std::sqrt(detail::sum_of_squares(exec, parameter.values())),
                     std::sqrt(detail::sum_of_squares(exec, parameter.gradients()))});
  });
  return norms;
}

} // namespace dchag
