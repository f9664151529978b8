// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/train/adamw.hpp>

#include <reference/adamw.hpp>
#include <support/allocations.hpp>
#include <support/compare.hpp>
#include <support/spaces.hpp>
#include <support/toy_model.hpp>

namespace train_adamw {

using namespace dchag;
using namespace dchag::test;

namespace {

template <class Parameter>
void set_gradients(Parameter& parameter, std::vector<double> const& gradient) {
  auto const host = to_host(parameter.gradients());
  for (std::size_t i = 0; i < gradient.size(); ++i)
    host(i) = static_cast<typename Parameter::Values::value_type>(gradient[i]);
  Kokkos::deep_copy(parameter.gradients(), host);
}

std::vector<double> random_values(std::uint64_t seed, std::size_t count) {
  Random const random(seed, "gradient");
  std::vector<double> values(count);
  // Rounded, so that both types get the same.
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<float>(random.normal(i));
  return values;
}

std::string message_of(AdamWOptions const& options) {
  try {
    AdamW<Kokkos::DefaultHostExecutionSpace, float> const optimizer(options);
  } catch (Error const& error) {
    return error.what();
  }
  return "";
}

} // namespace

TEST_CASE_TEMPLATE("AdamW: twenty steps equal the definition", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Space const exec;
  ToyModel<Space, T> model(exec);
  AdamWOptions const options{.beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-6, .weight_decay = 0.1};
  AdamW<Space, T> optimizer(options, [](ParameterSpec const& spec) { return spec.name == "toy.bias" ? 0.5 : 1.0; });
  reference::AdamW weight{options.beta1, options.beta2, options.epsilon, 0.1, flat(model.weight.values())};
  reference::AdamW bias{options.beta1, options.beta2, options.epsilon, 0.0, flat(model.bias.values())};

  for (std::uint64_t step = 0; step < 20; ++step) {
    double const rate = 0.01 / static_cast<double>(step + 1);
    auto const d_weight = random_values(2 * step, model.weight.size());
    auto const d_bias = random_values(2 * step + 1, model.bias.size());
    set_gradients(model.weight, d_weight);
    set_gradients(model.bias, d_bias);
    optimizer.step(exec, model, rate);
    weight.step(d_weight, rate);
    bias.step(d_bias, 0.5 * rate);
    exec.fence();
    CHECK(relative_error(model.weight.gradients(), d_weight) == 0);
  }

  double const bound = tolerance<T>(1e-5, 1e-12);
  CHECK(relative_error(model.weight.values(), weight.value) < bound);
  CHECK(relative_error(model.bias.values(), bias.value) < bound);
  optimizer.for_each_state([&](ParameterSpec const& spec, auto const& first, auto const& second) {
    auto const& expected = spec.name == "toy.weight" ? weight : bias;
    CHECK(relative_error(first, expected.m) < bound);
    CHECK(relative_error(second, expected.v) < bound);
  });
  CHECK(optimizer.steps() == 20);
}

TEST_CASE_TEMPLATE("AdamW: one number moves as PyTorch's formula says", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Space const exec;
  ToyModel<Space, T> model(exec);
  Kokkos::deep_copy(model.weight.values(), T(1));
  Kokkos::deep_copy(model.bias.values(), T(1));
  AdamW<Space, T> optimizer({.weight_decay = 0.1});
  // torch.optim.AdamW(lr=0.1, weight_decay=0.1), and with weight_decay=0, from 1 under these gradients
  double const gradient[] = {0.5, -0.25, 2.0};
  double const decayed[] = {0.890000002, 0.8544662986878463, 0.7788568715222746};
  double const free[] = {0.900000002, 0.8733662987078463, 0.8063015345291531};
  double const bound = tolerance<T>(1e-6, 1e-14);
  for (int step = 0; step < 3; ++step) {
    Kokkos::deep_copy(model.weight.gradients(), static_cast<T>(gradient[step]));
    Kokkos::deep_copy(model.bias.gradients(), static_cast<T>(gradient[step]));
    optimizer.step(exec, model, 0.1);
    exec.fence();
    CHECK(relative_error(model.weight.values(), std::vector<double>(12, decayed[step])) < bound);
    CHECK(relative_error(model.bias.values(), std::vector<double>(3, free[step])) < bound);
  }
}

TEST_CASE_TEMPLATE("AdamW: finds the least of a quadratic", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Space const exec;
  ToyModel<Space, T> model(exec);
  AdamW<Space, T> optimizer(exec, model, {.weight_decay = 0});
  auto const weight = random_values(7, model.weight.size());
  auto const bias = random_values(8, model.bias.size());
  auto const descend = [](auto& parameter, std::vector<double> const& solution) {
    auto slope = flat(parameter.values());
    for (std::size_t i = 0; i < slope.size(); ++i) slope[i] = static_cast<double>(i + 1) * (slope[i] - solution[i]);
    set_gradients(parameter, slope);
  };
  for (int step = 0; step < 1000; ++step) {
    descend(model.weight, weight);
    descend(model.bias, bias);
    optimizer.step(exec, model, 0.1 * std::pow(0.99, step));
    exec.fence();
  }
  CHECK(relative_error(model.weight.values(), weight) < 1e-4);
  CHECK(relative_error(model.bias.values(), bias) < 1e-4);
}

TEST_CASE_TEMPLATE("AdamW: goes on from kept states as if never stopped", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Space const exec;
  ToyModel<Space, T> model(exec);
  AdamW<Space, T> first(exec, model);
  AdamW<Space, T> second(exec, model);
  auto const step = [&](AdamW<Space, T>& optimizer, std::uint64_t seed) {
    set_gradients(model.weight, random_values(seed, model.weight.size()));
    set_gradients(model.bias, random_values(seed, model.bias.size()));
    optimizer.step(exec, model, 0.01);
    exec.fence();
  };
  for (std::uint64_t seed = 0; seed < 3; ++seed) step(first, seed);
  auto const weight = to_host(model.weight.values());
  auto const bias = to_host(model.bias.values());

  first.for_each_state([&](ParameterSpec const& spec, auto const& m, auto const& v) {
    second.for_each_state([&](ParameterSpec const& other, auto const& other_m, auto const& other_v) {
      if (spec.name != other.name) return;
      Kokkos::deep_copy(other_m, m);
      Kokkos::deep_copy(other_v, v);
    });
  });
  second.set_steps(first.steps());
  step(first, 3);
  auto const expected = to_host(model.weight.values());
  Kokkos::deep_copy(model.weight.values(), weight);
  Kokkos::deep_copy(model.bias.values(), bias);
  step(second, 3);
  CHECK(relative_error(model.weight.values(), expected) == 0);
}

TEST_CASE_TEMPLATE("AdamW: allocates two moments once, and nothing in a step", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Space const exec;
  ToyModel<Space, T> model(exec);
  AllocationCounter const all;
  AdamW<Space, T> optimizer(exec, model);
  CHECK(all.number() == 4);
  CHECK(all.by_label().count("dchag::train::first_moment::toy.weight") == 1);
  CHECK(all.by_label().count("dchag::train::second_moment::toy.bias") == 1);
  AllocationCounter const steps;
  for (int step = 0; step < 3; ++step) optimizer.step(exec, model, 0.01);
  exec.fence();
  CHECK(steps.number() == 0);
}

TEST_CASE("AdamW: says which option is out of range") {
  CHECK(message_of({}) == "");
  CHECK(message_of({.beta1 = 1}) == "AdamW: beta1 is 1, expected in [0, 1)");
  CHECK(message_of({.beta2 = -0.1}) == "AdamW: beta2 is -0.1, expected in [0, 1)");
  CHECK(message_of({.epsilon = 0}) == "AdamW: epsilon is 0, expected above 0");
  CHECK(message_of({.weight_decay = -1}) == "AdamW: weight_decay is -1, expected at least 0");
  CHECK(message_of({.beta1 = std::nan("")}) != "");
}

TEST_CASE("AdamW: refuses a bad rate and another model, and leaves the values alone") {
  using Space = Kokkos::DefaultHostExecutionSpace;
  Space const exec;
  ToyModel<Space, double> model(exec);
  auto const before = to_host(model.weight.values());
  AdamW<Space, double> optimizer(exec, model);
  CHECK_THROWS_AS(optimizer.step(exec, model, -1), Error);
  CHECK_THROWS_AS(optimizer.step(exec, model, std::nan("")), Error);
  ToyModel<Space, double> other(exec);
  other.bias = Parameter<Space, double>(exec, {.name = "toy.bias", .shape = {5}}, initial::constant(0));
  CHECK_THROWS_WITH_AS(optimizer.step(exec, other, 1),
                       "AdamW::step: parameter 1 is toy.bias with 5 values, expected toy.bias with 3", Error);
  auto nowhere = deferred([&] { return ToyModel<Space, double>(exec); });
  CHECK_THROWS_WITH_AS(optimizer.step(exec, nowhere, 1), "AdamW::step: toy.weight is deferred, expected values", Error);
  CHECK(optimizer.steps() == 0);
  CHECK(relative_error(model.weight.values(), before) == 0);
  CHECK(relative_error(other.weight.values(), before) == 0);
}

} // namespace train_adamw
