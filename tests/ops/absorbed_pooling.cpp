// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/ops/absorbed_pooling.hpp>

#include <reference/pooling.hpp>
#include <support/allocations.hpp>
#include <support/arrays.hpp>
#include <support/gradient_check.hpp>
#include <support/spaces.hpp>

namespace ops_absorbed_pooling {

using namespace dchag;
using namespace dchag::test;

namespace {

/// The tokens are the inside of a larger tensor, and so is their gradient. Their width D is h d unless it is given.
template <class Space, class T>
struct Problem {
  Problem(std::size_t tokens, std::size_t positions, std::size_t head_count, std::size_t d, double logits = 1,
          std::size_t width = 0)
      : M(tokens), N(positions), heads(head_count), V(heads * d), D(width == 0 ? V : width),
        all(random_tensor<T>(exec, 1, "x", {M, N, D + 3})), d_all(filled_tensor<T>(exec, {M, N, D + 3}, nan_value)),
        query(random_tensor<T>(exec, 1, "query", {heads, D})), value(random_tensor<T>(exec, 1, "value", {V, D})),
        d_query(filled_tensor<T>(exec, {heads, D}, nan_value)), d_value(random_tensor<T>(exec, 1, "d_value", {V, D})),
        d_o(random_tensor<T>(exec, 1, "d_o", {N, V})),
        delta(filled_tensor<T>(exec, {N, heads}, nan_value)), pooled{filled_tensor<T>(exec, {N, V}, nan_value),
                                                                     filled_tensor<T>(exec, {N, heads}, nan_value),
                                                                     filled_tensor<T>(exec, {N, heads}, nan_value)} {
    auto numbers = flat(query);
    for (double& r : numbers) r *= logits / std::sqrt(static_cast<double>(D));
    assign(query, numbers);
  }

  auto inside(Tensor<Space, T, 3> const& view) const {
    return Kokkos::subview(view, Kokkos::ALL, Kokkos::ALL, std::pair<std::size_t, std::size_t>(2, D + 2));
  }
  reference::Array<3> x() const { return reference::columns(array_of(all), 2, D); }

  void forward() {
    ops::absorbed_pooling_forward(workspace, inside(all), query, value, pooled);
    exec.fence();
  }
  template <class DX>
  void backward(std::size_t first, std::size_t last, DX const& d_x) {
    auto const o = array_of(pooled.o);
    auto const d = array_of(d_o);
    reference::Array<2> sums({N, heads});
    for (std::size_t n = 0; n < N; ++n)
      for (std::size_t j = 0; j < V; ++j) sums(n, j * heads / V) += d(n, j) * o(n, j);
    assign(delta, sums.values);
    ops::absorbed_pooling_backward(workspace, inside(all), query, value, pooled, d_o, delta, d_query, d_value, first,
                                   last, d_x);
    exec.fence();
  }

  void check(double bound) {
    CAPTURE(M);
    CAPTURE(N);
    CAPTURE(heads);
    CAPTURE(V);
    CAPTURE(D);
    auto const expected = reference::pooling_forward(array_of(query), array_of(value), x());
    forward();
    CHECK(relative_error(pooled.o, expected.o.values) < bound);
    CHECK(relative_error(pooled.maximum, expected.maximum.values) < bound);
    CHECK(relative_error(pooled.sum, expected.sum.values) < bound);
    auto const g = reference::pooling_backward(array_of(query), array_of(value), x(), array_of(d_o));
    auto const d_value_before = flat(d_value);
    backward(0, M, inside(d_all));
    CHECK(relative_error(reference::columns(array_of(d_all), 2, D).values, g.d_x.values) < bound);
    CHECK(relative_error(d_value, sum_of(g.d_value.values, d_value_before)) < bound);
    if (M == 1) // the softmax of one token is 1 whatever the query
      CHECK(relative_error(d_query, std::vector<double>(d_query.size())) == 0);
    else
      CHECK(relative_error(d_query, g.d_query.values) < bound);
  }

  Space exec{};
  Workspace<Space> workspace{exec};
  std::size_t M, N, heads, V, D;
  Tensor<Space, T, 3> all, d_all;
  Tensor<Space, T, 2> query, value, d_query, d_value, d_o, delta;
  ops::Pooled<Space, T> pooled;
};

} // namespace

TEST_CASE_TEMPLATE("absorbed pooling equals the definition, forward and backward", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  double const bound = tolerance<T>(1e-5, 1e-12);
  for (std::size_t const M : {1u, 2u, 5u, 16u, 37u}) {
    Problem<Space, T>(M, 1, 1, 1).check(bound);
    Problem<Space, T>(M, 7, 3, 5).check(bound);
    Problem<Space, T>(M, 50, 8, 6).check(bound);
    Problem<Space, T>(M, 33, 12, 4).check(bound);
    Problem<Space, T>(M, 7, 3, 5, 1, 40).check(bound); // some of the heads
    Problem<Space, T>(M, 9, 1, 1, 1, 12).check(bound);
  }
}

TEST_CASE_TEMPLATE("absorbed pooling of more positions than the scratch holds", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  if (!runs_on_host<typename Case::ExecutionSpace>) return; // a device's holds more than the definition can check
  CHECK(ops::detail::absorbed_tile<typename Case::ExecutionSpace>(2, 32, 64) < 1000);
  Problem<typename Case::ExecutionSpace, T>(2, 1000, 32, 2).check(tolerance<T>(1e-5, 1e-12));
}

TEST_CASE_TEMPLATE("absorbed pooling with logits up to 80 either way is finite and right", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  Problem<typename Case::ExecutionSpace, T>(16, 7, 2, 4, 30).check(tolerance<T>(1e-4, 1e-12));
}

TEST_CASE_TEMPLATE("absorbed pooling: the gradient of some tokens alone, or of none", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  Problem<typename Case::ExecutionSpace, T> problem(5, 7, 2, 3);
  problem.forward();
  auto const g =
      reference::pooling_backward(array_of(problem.query), array_of(problem.value), problem.x(), array_of(problem.d_o));
  auto const d_x = filled_tensor<T>(problem.exec, {2, 7, 6}, nan_value);
  problem.backward(1, 3, d_x);
  std::vector<double> const expected(g.d_x.values.begin() + 42, g.d_x.values.begin() + 3 * 42);
  CHECK(relative_error(d_x, expected) < tolerance<T>(1e-5, 1e-12));
  CHECK(relative_error(problem.d_query, g.d_query.values) < tolerance<T>(1e-5, 1e-12));
  problem.backward(0, 0, no_gradient);
  CHECK(relative_error(problem.d_query, g.d_query.values) < tolerance<T>(1e-5, 1e-12));
}

TEST_CASE_TEMPLATE("absorbed pooling: gradients equal finite differences", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  if (sizeof(T) != sizeof(double)) return;
  Problem<typename Case::ExecutionSpace, T> problem(6, 4, 2, 3);
  Kokkos::deep_copy(problem.d_value, T(0));
  Kokkos::deep_copy(problem.d_all, T(0));
  problem.forward();
  problem.backward(0, 6, problem.inside(problem.d_all));
  auto const by = [&](auto const& input) {
    return [&problem, input](std::vector<double> const& values) {
      auto const before = flat(input);
      assign(input, values);
      problem.forward();
      assign(input, before);
      return dot(flat(problem.d_o), flat(problem.pooled.o));
    };
  };
  CHECK(gradient_error(by(problem.query), flat(problem.query), flat(problem.d_query)) < 1e-6);
  CHECK(gradient_error(by(problem.value), flat(problem.value), flat(problem.d_value)) < 1e-6);
  CHECK(gradient_error(by(problem.all), flat(problem.all), flat(problem.d_all)) < 1e-6);
}

TEST_CASE_TEMPLATE("absorbed pooling allocates nothing once its workspace has grown", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  Problem<typename Case::ExecutionSpace, T> problem(5, 7, 2, 3);
  auto const step = [&] {
    ops::absorbed_pooling_forward(problem.workspace, problem.inside(problem.all), problem.query, problem.value,
                                  problem.pooled);
    ops::absorbed_pooling_backward(problem.workspace, problem.inside(problem.all), problem.query, problem.value,
                                   problem.pooled, problem.d_o, problem.delta, problem.d_query, problem.d_value, 0, 5,
                                   problem.inside(problem.d_all));
    problem.exec.fence();
  };
  step();
  step(); // what the workspace grew in the first becomes one block
  AllocationCounter const counter;
  step();
  CHECK(counter.number() == 0);
}

TEST_CASE_TEMPLATE("absorbed pooling: wrong shapes are errors", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Problem<Space, T> problem(5, 7, 2, 3);
  auto const x = filled_tensor<T>(problem.exec, {5, 7, 6}, 0);
  auto const none = filled_tensor<T>(problem.exec, {0, 7, 6}, 0);
  auto const forward = [&](auto const& tokens, auto const& query, auto const& value) {
    ops::absorbed_pooling_forward(problem.workspace, tokens, query, value, problem.pooled);
  };
  CHECK_THROWS_WITH_AS(forward(x, filled_tensor<T>(problem.exec, {4, 6}, 0), problem.value),
                       "absorbed_pooling_forward: V = 6 features of the output are not a multiple of heads = 4",
                       ShapeError);
  CHECK_THROWS_WITH_AS(forward(none, problem.query, problem.value),
                       "absorbed_pooling_forward: there are no tokens to attend to", ShapeError);
  CHECK_THROWS_AS(forward(x, problem.query, filled_tensor<T>(problem.exec, {6, 5}, 0)), ShapeError);
  CHECK_THROWS_AS(forward(x, filled_tensor<T>(problem.exec, {2, 5}, 0), problem.value), ShapeError);
  auto const backward = [&](std::size_t first, std::size_t last, auto const& d_x) {
    ops::absorbed_pooling_backward(problem.workspace, x, problem.query, problem.value, problem.pooled, problem.d_o,
                                   problem.delta, problem.d_query, problem.d_value, first, last, d_x);
  };
  CHECK_THROWS_WITH_AS(backward(3, 6, no_gradient), "absorbed_pooling_backward: tokens [3, 6) of M = 5", ShapeError);
  CHECK_THROWS_AS(backward(0, 4, x), ShapeError);
}

} // namespace ops_absorbed_pooling
