// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/ops/attention_pooling.hpp>
#include <dchag/ops/linear.hpp>

#include <reference/attention_pooling.hpp>
#include <support/arrays.hpp>
#include <support/gradient_check.hpp>
#include <support/spaces.hpp>

namespace ops_attention_pooling {

using namespace dchag;
using namespace dchag::test;

namespace {

/// Keys and values side by side in one (M, N, 2 D) tensor, and their gradients in another.
template <class Space, class T>
struct Pooling {
  Pooling(Space const& space, std::size_t tokens, std::size_t positions, std::size_t head_count, std::size_t d)
      : exec(space), M(tokens), N(positions), heads(head_count), D(heads * d), q(random_tensor<T>(exec, 1, "q", {D})),
        d_q(filled_tensor<T>(exec, {D}, 0)), ku(random_tensor<T>(exec, 1, "ku", {M, N, 2 * D})),
        d_ku(filled_tensor<T>(exec, {M, N, 2 * D}, nan_value)), a(filled_tensor<T>(exec, {N, heads, M}, nan_value)),
        o(filled_tensor<T>(exec, {N, D}, nan_value)), d_o(random_tensor<T>(exec, 1, "d_o", {N, D})),
        d_q_rows(filled_tensor<T>(exec, {N, D}, nan_value)), delta(filled_tensor<T>(exec, {N, heads}, nan_value)) {}

  template <class View>
  auto part(View const& view, std::size_t index) const {
    return Kokkos::subview(view, Kokkos::ALL, Kokkos::ALL, std::pair(index * D, (index + 1) * D));
  }
  void forward() const {
    ops::attention_pooling_forward(exec, heads, q, part(ku, 0), part(ku, 1), a, o);
    exec.fence();
  }
  void backward() const {
    ops::attention_pooling_backward(exec, heads, q, part(ku, 0), part(ku, 1), a, o, d_o, delta, part(d_ku, 0),
                                    part(d_ku, 1), d_q_rows);
    ops::add_column_sums(exec, d_q_rows, d_q);
    exec.fence();
  }
  void check(double bound) const {
    auto const k = reference::columns(array_of(ku), 0, D);
    auto const u = reference::columns(array_of(ku), D, D);
    auto const expected = reference::attention_pooling_forward(heads, array_of(q), k, u);
    forward();
    CHECK(relative_error(a, expected.a.values) < bound);
    CHECK(relative_error(o, expected.o.values) < bound);
    auto const gradients = reference::attention_pooling_backward(heads, array_of(q), k, u, array_of(d_o));
    backward();
    auto const found = array_of(d_ku);
    CHECK(relative_error(reference::columns(found, D, D).values, gradients.d_u.values) < bound);
    if (M == 1) return; // the softmax of one token is 1 whatever q and k are: gradients of zero but for rounding
    CHECK(relative_error(reference::columns(found, 0, D).values, gradients.d_k.values) < bound);
    CHECK(relative_error(d_q, gradients.d_q.values) < bound);
  }

  Space exec;
  std::size_t M, N, heads, D;
  Tensor<Space, T, 1> q, d_q;
  Tensor<Space, T, 3> ku, d_ku, a;
  Tensor<Space, T, 2> o, d_o, d_q_rows, delta;
};

} // namespace

TEST_CASE_TEMPLATE("attention pooling equals the definition, forward and backward", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  typename Case::ExecutionSpace const exec;
  double const bound = tolerance<T>(1e-5, 1e-12);
  for (std::size_t const M : {1u, 2u, 15u, 16u, 17u, 64u, 130u}) {
    CAPTURE(M);
    Pooling<typename Case::ExecutionSpace, T>(exec, M, 1, 1, 1).check(bound);
    Pooling<typename Case::ExecutionSpace, T>(exec, M, 5, 3, 7).check(bound);
    Pooling<typename Case::ExecutionSpace, T>(exec, M, 33, 2, 32).check(bound);
  }
}

TEST_CASE_TEMPLATE("attention pooling of a single token is its value", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  Pooling<typename Case::ExecutionSpace, T> const one({}, 1, 5, 2, 7);
  one.forward();
  one.backward();
  CHECK(relative_error(one.o, reference::columns(array_of(one.ku), 14, 14).values) < tolerance<T>(1e-6, 1e-15));
  CHECK(relative_error(reference::columns(array_of(one.d_ku), 0, 14).values, std::vector<double>(5 * 14)) <
        tolerance<T>(1e-5, 1e-14));
  CHECK(relative_error(one.d_q, std::vector<double>(14)) < tolerance<T>(1e-5, 1e-14));
}

TEST_CASE_TEMPLATE("attention pooling with logits up to 80 either way is finite and right", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  Pooling<typename Case::ExecutionSpace, T> const extreme({}, 65, 7, 2, 1);
  // One column a head: the logit is q k. All tokens low, all high, or some of each; the size of the keys takes five
  // values, lest the gradient of the query be nothing but rounding.
  assign(extreme.q, {8, -8});
  auto ku = array_of(extreme.ku);
  for (std::size_t c = 0; c < 65; ++c) {
    for (std::size_t n = 0; n < 7; ++n) {
      for (std::size_t h = 0; h < 2; ++h) {
        bool const high = n == 1 || (n > 1 && (c + n + h) % n == 0);
        ku(c, n, h) = (high ? 1 : -1) * (10 - 0.25 * static_cast<double>(c % 5));
      }
    }
  }
  assign(extreme.ku, ku.values);
  extreme.check(tolerance<T>(1e-4, 1e-12));
}

TEST_CASE_TEMPLATE("attention pooling with a query of zero is the mean of the values", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  Pooling<typename Case::ExecutionSpace, T> const pooling({}, 9, 4, 2, 3);
  Kokkos::deep_copy(pooling.q, T(0));
  pooling.forward();
  auto const u = reference::columns(array_of(pooling.ku), 6, 6);
  reference::Array<2> mean({4, 6});
  for (std::size_t c = 0; c < 9; ++c)
    for (std::size_t n = 0; n < 4; ++n)
      for (std::size_t j = 0; j < 6; ++j) mean(n, j) += u(c, n, j) / 9;
  CHECK(relative_error(pooling.o, mean.values) < tolerance<T>(1e-6, 1e-14));
}

TEST_CASE_TEMPLATE("attention pooling: gradients equal finite differences", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  if (sizeof(T) != sizeof(double)) return;
  Pooling<typename Case::ExecutionSpace, T> const any({}, 6, 4, 2, 3);
  any.forward();
  any.backward();
  auto const by = [&](auto const& input) {
    return [&any, input](std::vector<double> const& values) {
      auto const before = flat(input);
      assign(input, values);
      any.forward();
      assign(input, before);
      return dot(flat(any.d_o), flat(any.o));
    };
  };
  CHECK(gradient_error(by(any.q), flat(any.q), flat(any.d_q)) < 1e-6);
  CHECK(gradient_error(by(any.ku), flat(any.ku), flat(any.d_ku)) < 1e-6);
}

TEST_CASE_TEMPLATE("attention pooling: wrong shapes are errors", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  typename Case::ExecutionSpace const exec;
  std::size_t const heads = 2;
  auto const q = filled_tensor<T>(exec, {6}, 1);
  auto const x = filled_tensor<T>(exec, {3, 5, 6}, 1);
  auto const a = filled_tensor<T>(exec, {5, 2, 3}, 1);
  auto const o = filled_tensor<T>(exec, {5, 6}, 1);
  auto const none = filled_tensor<T>(exec, {0, 5, 6}, 1);
  auto const bad_q = filled_tensor<T>(exec, {5}, 1);
  auto const bad_x = filled_tensor<T>(exec, {3, 5, 4}, 1);
  auto const bad_o = filled_tensor<T>(exec, {6, 5}, 1);
  auto const delta = filled_tensor<T>(exec, {o.extent(0), heads}, 1);
  CHECK_THROWS_WITH_AS(ops::attention_pooling_forward(exec, 4, q, x, x, a, o),
                       "attention_pooling_forward: width D = 6 is not a multiple of heads = 4", ShapeError);
  CHECK_THROWS_WITH_AS(ops::attention_pooling_forward(exec, heads, q, none, none, a, o),
                       "attention_pooling_forward: there are no tokens to attend to", ShapeError);
  CHECK_THROWS_AS(ops::attention_pooling_forward(exec, 0, q, x, x, a, o), ShapeError);
  CHECK_THROWS_AS(ops::attention_pooling_forward(exec, heads, bad_q, x, x, a, o), ShapeError);
  CHECK_THROWS_AS(ops::attention_pooling_forward(exec, heads, q, x, bad_x, a, o), ShapeError);
  CHECK_THROWS_AS(ops::attention_pooling_forward(exec, heads, q, x, x, x, o), ShapeError);
  CHECK_THROWS_AS(ops::attention_pooling_forward(exec, heads, q, x, x, a, bad_o), ShapeError);
  CHECK_THROWS_AS(ops::attention_pooling_backward(exec, heads, q, x, x, x, o, o, delta, x, x, o), ShapeError);
  CHECK_THROWS_AS(ops::attention_pooling_backward(exec, 4, q, x, x, a, o, o, delta, x, x, o), ShapeError);
  CHECK_THROWS_AS(ops::attention_pooling_backward(exec, heads, q, x, x, a, bad_o, o, delta, x, x, o), ShapeError);
  CHECK_THROWS_AS(ops::attention_pooling_backward(exec, heads, q, x, x, a, o, o, bad_o, x, x, o), ShapeError);
  CHECK_THROWS_AS(ops::attention_pooling_backward(exec, heads, q, x, x, a, o, bad_o, delta, x, x, o), ShapeError);
  CHECK_THROWS_AS(ops::attention_pooling_backward(exec, heads, q, x, x, a, o, o, delta, bad_x, x, o), ShapeError);
  CHECK_THROWS_AS(ops::attention_pooling_backward(exec, heads, q, x, x, a, o, o, delta, x, bad_x, o), ShapeError);
  CHECK_THROWS_AS(ops::attention_pooling_backward(exec, heads, q, x, x, a, o, o, delta, x, x, bad_o), ShapeError);
}

} // namespace ops_attention_pooling
