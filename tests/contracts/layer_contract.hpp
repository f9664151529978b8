// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/workspace.hpp>

#include <set>
#include <support/allocations.hpp>
#include <support/gradient_check.hpp>
#include <support/parameters.hpp>
#include <support/spaces.hpp>

namespace dchag::test {

/// The extents of a layer's input and output.
template <std::size_t InRank, std::size_t OutRank>
struct Shapes {
  Extents<InRank> input;
  Extents<OutRank> output;
};

/// A layer at work: its parameters are random, its input and d_output are random or given.
///
/// Subject says what is tried: `make<Space, T>(exec)` makes the layer, `shapes()` and `other_shapes()` are two sizes of
/// one step.
template <class Subject, class Space, class T>
class LayerTrial {
  using Layer = decltype(Subject::template make<Space, T>(std::declval<Space const&>()));
  static constexpr std::size_t in_rank = std::tuple_size_v<decltype(Subject::shapes().input)>;
  static constexpr std::size_t out_rank = std::tuple_size_v<decltype(Subject::shapes().output)>;

public:
  LayerTrial() : m_layer(Subject::template make<Space, T>(m_exec)) { randomize(m_layer); }

  /// Goes on with other sizes, in the same context and workspace.
  void resize(Shapes<in_rank, out_rank> const& shapes) {
    m_input = random_tensor<T>(m_exec, 1, "input", shapes.input);
    m_output = random_tensor<T>(m_exec, 1, "output", shapes.output);
    m_d_output = random_tensor<T>(m_exec, 1, "d_output", shapes.output);
    m_d_input = random_tensor<T>(m_exec, 1, "d_input", shapes.input);
  }

  Space const& exec() const { return m_exec; }
  Layer& layer() { return m_layer; }
  auto const& input() const { return m_input; }
  auto const& d_output() const { return m_d_output; }

  std::vector<double> forward() {
    Kokkos::deep_copy(m_output, static_cast<T>(nan_value)); // shows what is read or not written
    m_layer.forward(m_workspace, m_context, m_input, m_output);
    m_exec.fence();
    return flat(m_output);
  }

  /// Adds to the parameters' gradients.
  void backward(bool wants_input = true) {
    Kokkos::deep_copy(m_d_input, static_cast<T>(nan_value));
    if (wants_input)
      m_layer.backward(m_workspace, m_context, m_input, m_d_output, m_d_input);
    else
      m_layer.backward(m_workspace, m_context, m_input, m_d_output, no_gradient);
    m_exec.fence();
  }

  /// Of the parameters by name, and of the "input".
  Numbers gradients() {
    auto numbers = gradients_of(m_layer);
    numbers["input"] = flat(m_d_input);
    return numbers;
  }

  /// Gradients of <d_output, output>, from cleared ones.
  Numbers fresh_gradients() {
    clear_gradients(m_exec, m_layer);
    forward();
    backward();
    return gradients();
  }

  /// Forward and backward, without the copies that the other functions make.
  std::size_t allocations_of_a_step() {
    AllocationCounter const counter;
    m_layer.forward(m_workspace, m_context, m_input, m_output);
    m_layer.backward(m_workspace, m_context, m_input, m_d_output, m_d_input);
    m_exec.fence();
    return counter.number();
  }

private:
  Space m_exec;
  Workspace<Space> m_workspace{m_exec};
  Layer m_layer;
  typename Layer::Context m_context;
  Tensor<Space, T, in_rank> m_input, m_d_input;
  Tensor<Space, T, out_rank> m_output, m_d_output;
};

/// How far a gradient is from central differences, in random directions of all entries and of three: the first, the
/// last, the largest. f takes a std::vector<double>.
template <class F>
double gradient_error_of_few_and_all(F const& f, std::vector<double> const& x, std::vector<double> gradient) {
  // a gradient that is zero is compared as that of f + sum of x, for a relative error to have a meaning
  double const slope = largest_of(gradient) < 1e-9 ? 1 : 0;
  for (double& g : gradient) g += slope;
  auto const tilted = [&](std::vector<double> const& point) {
    double sum = f(point);
    for (double value : point) sum += slope * value;
    return sum;
  };
  auto const largest = std::ranges::max_element(gradient, {}, [](double g) { return std::fabs(g); });
  std::set<std::size_t> const few{0, x.size() - 1, static_cast<std::size_t>(largest - gradient.begin())};
  std::vector<double> few_x, few_gradients;
  for (std::size_t i : few) few_x.push_back(x[i]), few_gradients.push_back(gradient[i]);
  auto const of_few = [&](std::vector<double> const& values) {
    auto point = x;
    std::size_t next = 0;
    for (std::size_t i : few) point[i] = values[next++];
    return tilted(point);
  };
  return std::max(gradient_error(tilted, x, gradient), gradient_error(of_few, few_x, few_gradients));
}

template <class Trial>
void check_gradients_are_differences(Trial& trial) {
  auto const gradients = trial.fresh_gradients();
  auto const d_output = flat(trial.d_output());
  auto const check = [&](std::string const& name, auto const& view) {
    CAPTURE(name);
    auto const x = flat(view);
    auto const loss = [&](std::vector<double> const& values) {
      assign(view, values);
      return dot(d_output, trial.forward());
    };
    CHECK(gradient_error_of_few_and_all(loss, x, gradients.at(name)) < 1e-6);
    assign(view, x);
  };
  check("input", trial.input());
  trial.layer().for_each_parameter([&](auto& parameter) { check(parameter.name(), parameter.values()); });
}

/// backward(a u + b v) = a backward(u) + b backward(v).
template <class Trial>
void check_backward_is_linear(Trial& trial, double tolerance) {
  auto const u = flat(trial.d_output());
  std::vector<double> v(u.size());
  for (std::size_t i = 0; i < v.size(); ++i) v[i] = Random(3, "v").normal(i);
  auto const of_u = trial.fresh_gradients();
  assign(trial.d_output(), v);
  auto const of_v = trial.fresh_gradients();
  std::vector<double> both(u.size());
  for (std::size_t i = 0; i < v.size(); ++i) both[i] = 2 * u[i] - 0.5 * v[i];
  assign(trial.d_output(), both);
  CHECK(worst_error(trial.fresh_gradients(), sum_of(scaled(2, of_u), scaled(-0.5, of_v))) < tolerance);
  assign(trial.d_output(), u);
}

/// Parameters' gradients are added to, the input's is overwritten.
template <class Trial>
void check_gradients_accumulate(Trial& trial, double tolerance) {
  auto const once = trial.fresh_gradients();
  trial.forward();
  trial.backward();
  auto expected = scaled(2, once);
  expected["input"] = once.at("input");
  CHECK(worst_error(trial.gradients(), expected) < tolerance);
}

template <class Trial>
void check_input_gradient_may_be_skipped(Trial& trial) {
  auto expected = trial.fresh_gradients();
  clear_gradients(trial.exec(), trial.layer());
  trial.backward(false);
  auto found = trial.gradients();
  found.erase("input");
  expected.erase("input");
  CHECK(worst_error(found, expected) == 0);
}

/// A step of known sizes allocates nothing; one of other sizes gives what a fresh context gives.
template <class Subject, class Space, class T>
void check_steps_reuse_memory() {
  LayerTrial<Subject, Space, T> trial;
  trial.resize(Subject::shapes());
  auto const first = trial.fresh_gradients();
  trial.fresh_gradients(); // the workspace makes one block of what the first step grew
  auto const allocations = trial.allocations_of_a_step();
  CHECK(allocations == 0);

  LayerTrial<Subject, Space, T> fresh;
  fresh.resize(Subject::other_shapes());
  trial.resize(Subject::other_shapes());
  CHECK(relative_error(trial.forward(), fresh.forward()) == 0);
  CHECK(worst_error(trial.fresh_gradients(), fresh.fresh_gradients()) == 0);
  trial.resize(Subject::shapes());
  CHECK(worst_error(trial.fresh_gradients(), first) == 0);
}

template <class Layer>
void check_names(Layer& layer) {
  std::set<std::string> names;
  std::size_t parameters = 0;
  layer.for_each_parameter([&](auto& parameter) {
    ++parameters;
    names.insert(parameter.name());
    CHECK(!parameter.name().empty());
    CHECK(parameter.size() > 0);
  });
  CHECK(names.size() == parameters);
  CHECK(parameters > 0);
}

/// What every layer owes to those who use it, see `Layer`.
template <class Subject, class Case>
void check_layer_contract() {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  LayerTrial<Subject, Space, T> trial;
  trial.resize(Subject::shapes());
  double const rounding = tolerance<T>(1e-5, 1e-12);
  check_names(trial.layer());
  check_backward_is_linear(trial, rounding);
  check_gradients_accumulate(trial, rounding);
  check_input_gradient_may_be_skipped(trial);
  check_steps_reuse_memory<Subject, Space, T>();
  if constexpr (std::same_as<T, double>) {
    check_gradients_are_differences(trial);
  } else {
    LayerTrial<Subject, Space, double> precise;
    precise.resize(Subject::shapes());
    CHECK(relative_error(trial.forward(), precise.forward()) < rounding);
    CHECK(worst_error(trial.fresh_gradients(), precise.fresh_gradients()) < rounding);
  }
}

} // namespace dchag::test
