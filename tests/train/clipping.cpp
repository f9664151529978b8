// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/train/clipping.hpp>

#include <limits>
#include <support/allocations.hpp>
#include <support/compare.hpp>
#include <support/spaces.hpp>
#include <support/toy_model.hpp>

namespace train_clipping {

using namespace dchag;
using namespace dchag::test;
using doctest::Approx;

namespace {

template <class Model>
void set_gradients(Model& model, double weight, double bias) {
  using T = typename Model::value_type;
  Kokkos::deep_copy(model.weight.gradients(), static_cast<T>(weight));
  Kokkos::deep_copy(model.bias.gradients(), static_cast<T>(bias));
}

} // namespace

TEST_CASE_TEMPLATE("gradient_norm: equals the sum over all numbers", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Space const exec;
  ToyModel<Space, T> model(exec);
  Kokkos::deep_copy(model.weight.gradients(), random_tensor<T>(exec, 1, "weight", {12}));
  Kokkos::deep_copy(model.bias.gradients(), random_tensor<T>(exec, 1, "bias", {3}));
  double sum = 0;
  for (double x : flat(model.weight.gradients())) sum += x * x;
  for (double x : flat(model.bias.gradients())) sum += x * x;
  CHECK(gradient_norm(exec, model) == Approx(std::sqrt(sum)).epsilon(1e-14));
  CHECK(gradient_norm(exec, model) == gradient_norm(exec, model));
}

TEST_CASE_TEMPLATE("gradient_norm: ranks add up distributed parameters only, in one call", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Space const exec;
  int calls = 0;
  auto const four_ranks = [&](double sum) {
    ++calls;
    return 4 * sum;
  };
  ToyModel<Space, T> distributed(exec, Placement::distributed);
  set_gradients(distributed, 2, 3);
  CHECK(gradient_norm(exec, distributed, four_ranks) == Approx(std::sqrt(4 * 12 * 4.0 + 3 * 9.0)));
  CHECK(calls == 1);
  ToyModel<Space, T> replicated(exec);
  set_gradients(replicated, 2, 3);
  CHECK(gradient_norm(exec, replicated, four_ranks) == Approx(std::sqrt(12 * 4.0 + 3 * 9.0)));
  CHECK(calls == 2);
}

TEST_CASE_TEMPLATE("gradient_norm: squares that the type cannot hold do not overflow", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Space const exec;
  ToyModel<Space, T> model(exec);
  set_gradients(model, 1e30, 0);
  CHECK(gradient_norm(exec, model) == Approx(std::sqrt(12.0) * 1e30));
}

TEST_CASE_TEMPLATE("clip_gradients: scales down to the bound, never up", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Space const exec;
  ToyModel<Space, T> model(exec);
  set_gradients(model, 2, 3);
  double const norm = std::sqrt(75.0);
  CHECK(clip_gradients(exec, model, 10) == Approx(norm));
  exec.fence();
  CHECK(relative_error(model.weight.gradients(), std::vector<double>(12, 2)) == 0);

  AllocationCounter const counter;
  CHECK(clip_gradients(exec, model, 1) == Approx(norm));
  exec.fence();
  CHECK(counter.number() == 0);
  CHECK(relative_error(model.weight.gradients(), std::vector<double>(12, 2 / norm)) < 1e-6);
  CHECK(relative_error(model.bias.gradients(), std::vector<double>(3, 3 / norm)) < 1e-6);
  CHECK(gradient_norm(exec, model) == Approx(1));
  CHECK(clip_gradients(exec, model, std::numeric_limits<double>::infinity()) == Approx(1));
}

TEST_CASE_TEMPLATE("clip_gradients: leaves the gradients alone when the norm is not finite", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Space const exec;
  ToyModel<Space, T> model(exec);
  for (double bad : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    set_gradients(model, 2, bad);
    CHECK_FALSE(math::is_finite(clip_gradients(exec, model, 1)));
    exec.fence();
    CHECK(relative_error(model.weight.gradients(), std::vector<double>(12, 2)) == 0);
  }
}

TEST_CASE("clip_gradients: refuses a bound that is not above 0 before it communicates") {
  Kokkos::DefaultHostExecutionSpace const exec;
  ToyModel<Kokkos::DefaultHostExecutionSpace, float> model(exec);
  int calls = 0;
  auto const count = [&](double sum) {
    ++calls;
    return sum;
  };
  CHECK_THROWS_WITH_AS(clip_gradients(exec, model, 0, count), "clip_gradients: max_norm is 0, expected above 0", Error);
  CHECK_THROWS_WITH_AS(clip_gradients(exec, model, std::nan(""), count),
                       "clip_gradients: max_norm is nan, expected above 0", Error);
  CHECK(calls == 0);
}

TEST_CASE_TEMPLATE("parameter_norms: by name, in the model's order", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Space const exec;
  ToyModel<Space, T> model(exec);
  set_gradients(model, 2, 3);
  Kokkos::deep_copy(model.weight.values(), T(1));
  Kokkos::deep_copy(model.bias.values(), T(0));
  auto const norms = parameter_norms(exec, model);
  REQUIRE(norms.size() == 2);
  CHECK(norms[0].name == "toy.weight");
  CHECK(norms[0].value == Approx(std::sqrt(12.0)));
  CHECK(norms[0].gradient == Approx(std::sqrt(48.0)));
  CHECK(norms[1].name == "toy.bias");
  CHECK(norms[1].value == 0);
  CHECK(norms[1].gradient == Approx(std::sqrt(27.0)));
}

} // namespace train_clipping
