// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/error.hpp>
#include <dchag/core/number.hpp>
#include <dchag/layers/parameter.hpp>

#include <cmath>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace dchag {

struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.01; ///< of parameters whose spec says decay; all others have none
};

namespace detail {
/// base^exponent by nothing but products, which all processors round alike; std::pow may not. In long double, so that
/// the result is good to the last digit of a double.
inline double integer_power(double base, std::int64_t exponent) {
  long double power = 1, square = base;
  for (; exponent > 0; exponent /= 2, square *= square)
    if (exponent % 2 == 1) power *= square;
  return static_cast<double>(power);
}

template <class T, class Values>
struct AdamWUpdate {
  Values value, gradient, first, second; // (N)
  T keep;                                // 1 - learning_rate weight_decay
  T beta2;
  T fresh1, fresh2; // 1 - beta, taken in double: in float 1 - 0.999 is wrong in the fifth digit
  T rate;           // learning_rate / (1 - beta1^t)
  T root_unbias;    // 1 / sqrt(1 - beta2^t)
  T epsilon;

  KOKKOS_FUNCTION void operator()(std::size_t i) const {
    T const g = gradient(i);
    T const m = first(i) + fresh1 * (g - first(i));
    T const v = beta2 * second(i) + fresh2 * g * g;
    first(i) = m;
    second(i) = v;
    value(i) = keep * value(i) - rate * m / (math::sqrt(v) * root_unbias + epsilon);
  }
};
} // namespace detail

/// Adam with decoupled weight decay.
///
/// Steps, for step number t = 1, 2, ... and rate r:
///   value *= 1 - r weight_decay;  m += (1 - beta1) (gradient - m);  v = beta2 v + (1 - beta2) gradient^2;
///   value -= r m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon)
///
/// Every rank updates what it holds, each value by itself. Values that several ranks hold stay equal, bit for bit, as
/// long as their gradients are and all ranks are given the same rate: a computed one comes from one rank
/// (`comm::from_rank`).
///
/// Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization, ICLR 2019, algorithm 2, in PyTorch's form,
/// where the decay is multiplied by the rate. No decay for biases, norms and embeddings, as their specs say.
template <KokkosExecutionSpace ExecutionSpace, Scalar T>
class AdamW {
public:
  using Values = Tensor<ExecutionSpace, T, 1>;
  /// By what the learning rate of a parameter is multiplied; asked once for each.
  using RateScale = std::function<double(ParameterSpec const&)>;

  /// Allocates in the first step.
  /// Throws Error if an option is out of range.
  explicit AdamW(AdamWOptions const& options = {}, RateScale rate_scale = {})
      : m_options(options), m_rate_scale(std::move(rate_scale)) {
    auto const& [beta1, beta2, epsilon, weight_decay] = options;
    require<Error>(math::is_finite(beta1) && 0 <= beta1 && beta1 < 1, "AdamW: beta1 is ", beta1,
                   ", expected in [0, 1)");
    require<Error>(math::is_finite(beta2) && 0 <= beta2 && beta2 < 1, "AdamW: beta2 is ", beta2,
                   ", expected in [0, 1)");
    require<Error>(0 < epsilon && math::is_finite(epsilon), "AdamW: epsilon is ", epsilon, ", expected above 0");
    require<Error>(0 <= weight_decay && math::is_finite(weight_decay), "AdamW: weight_decay is ", weight_decay,
                   ", expected at least 0");
  }

  /// Allocates now, for the parameters of this model.
  template <HasParameters Model>
  AdamW(ExecutionSpace const& exec, Model& model, AdamWOptions const& options = {}, RateScale rate_scale = {})
      : AdamW(options, std::move(rate_scale)) {
    allocate_states(exec, model);
  }

  /// Updates every parameter from its gradient, one kernel each. The gradients stay as they are.
  /// Throws Error, before anything is updated, if the rate is negative or not finite, or if the model's parameters are
  /// not those of the first step.
  template <HasParameters Model>
  void step(ExecutionSpace const& exec, Model& model, double learning_rate) {
    require<Error>(0 <= learning_rate && math::is_finite(learning_rate), "AdamW::step: learning_rate is ",
                   learning_rate, ", expected at least 0");
    if (m_states.empty()) allocate_states(exec, model);
    require_same_parameters(model);
    ++m_steps;
    std::size_t index = 0;
    model.for_each_parameter([&](auto& parameter) { update(exec, parameter, m_states[index++], learning_rate); });
  }

  /// How many steps were made: t of the bias correction.
  std::int64_t steps() const { return m_steps; }
  void set_steps(std::int64_t steps) { m_steps = steps; }

  /// Calls f(spec, first, second) with each parameter's spec and its two moments (views of N values, as the parameter's
  /// own), in the model's order. With `steps` this is all that has to be kept to go on later; none before the first
  /// step unless the constructor was given the model.
  template <class F>
  void for_each_state(F&& f) const {
    for (auto const& state : m_states) f(state.spec, state.first, state.second);
  }

private:
  struct State {
    ParameterSpec spec;
    double rate_scale;
    Values first, second;
  };

  template <HasParameters Model>
  void allocate_states(ExecutionSpace const& exec, Model& model) {
    std::vector<State> states;
    model.for_each_parameter([&](auto& parameter) {
      auto const& spec = parameter.spec();
      double const scale = m_rate_scale ? m_rate_scale(spec) : 1.0;
      require<Error>(0 <= scale && math::is_finite(scale), "AdamW: the rate of ", spec.name, " is scaled by ", scale,
                     ", expected at least 0");
      Extents<1> const extents{parameter.size()};
      State state{spec, scale, allocate<T>(exec, "dchag::train::first_moment::" + spec.name, extents),
                  allocate<T>(exec, "dchag::train::second_moment::" + spec.name, extents)};
      Kokkos::deep_copy(exec, state.first, T(0));
      Kokkos::deep_copy(exec, state.second, T(0));
      states.push_back(std::move(state));
    });
    exec.fence(); // the first step may run on another instance
    m_states = std::move(states);
  }

  template <HasParameters Model>
  void require_same_parameters(Model& model) const {
    std::size_t index = 0;
    model.for_each_parameter([&](auto& parameter) {
      require<Error>(!parameter.is_deferred(), "AdamW::step: ", parameter.name(), " is deferred, expected values");
      require<Error>(index < m_states.size(), "AdamW::step: ", parameter.name(),
                     " was not in the model of the first step");
      auto const& state = m_states[index++];
      require<Error>(state.spec.name == parameter.name() && state.first.extent(0) == parameter.size(),
                     "AdamW::step: parameter ", index - 1, " is ", parameter.name(), " with ", parameter.size(),
                     " values, expected ", state.spec.name, " with ", state.first.extent(0));
    });
    require<Error>(index == m_states.size(), "AdamW::step: the model has ", index, " parameters, expected ",
                   m_states.size());
  }

  void update(ExecutionSpace const& exec, Parameter<ExecutionSpace, T> const& parameter, State const& state,
              double learning_rate) const {
    double const rate = learning_rate * state.rate_scale;
    double const decay = state.spec.decay ? m_options.weight_decay : 0.0;
    using Policy = Kokkos::RangePolicy<ExecutionSpace, Kokkos::IndexType<std::size_t>>;
    Kokkos::parallel_for("dchag::train::adamw", Policy(exec, 0, parameter.size()),
                         detail::AdamWUpdate<T, Values>{
                             parameter.values(), parameter.gradients(), state.first, state.second,
                             static_cast<T>(1 - rate * decay), static_cast<T>(m_options.beta2),
                             static_cast<T>(1 - m_options.beta1), static_cast<T>(1 - m_options.beta2),
                             static_cast<T>(rate / (1 - detail::integer_power(m_options.beta1, m_steps))),
                             static_cast<T>(1 / std::sqrt(1 - detail::integer_power(m_options.beta2, m_steps))),
                             static_cast<T>(m_options.epsilon)});
  }

  AdamWOptions m_options;
  RateScale m_rate_scale;
  std::vector<State> m_states;
  std::int64_t m_steps = 0;
};

} // namespace dchag
