// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/ops/attention.hpp>

#include <reference/attention.hpp>
#include <support/arrays.hpp>
#include <support/gradient_check.hpp>
#include <support/spaces.hpp>

namespace ops_attention {

using namespace dchag;
using namespace dchag::test;

namespace {

/// Queries, keys and values side by side in one (B, L, 3 D) tensor, and their gradients in another: what a layer makes
/// with one product.
template <class Space, class T>
struct Attention {
  Attention(Space const& space, std::size_t samples, std::size_t head_count, std::size_t length, std::size_t d)
      : exec(space), B(samples), heads(head_count), L(length), D(heads * d),
        qkv(random_tensor<T>(exec, 1, "qkv", {B, L, 3 * D})), d_qkv(filled_tensor<T>(exec, {B, L, 3 * D}, nan_value)),
        out(filled_tensor<T>(exec, {B, L, D}, nan_value)), d_out(random_tensor<T>(exec, 1, "d_out", {B, L, D})),
        log_sums(filled_tensor<T>(exec, {B, heads, L}, nan_value)),
        delta(filled_tensor<T>(exec, {B, heads, L}, nan_value)) {}

  template <class View>
  auto part(View const& view, std::size_t index) const {
    return Kokkos::subview(view, Kokkos::ALL, Kokkos::ALL, std::pair(index * D, (index + 1) * D));
  }
  void forward() const {
    Kokkos::View<T const***, Kokkos::LayoutRight, typename Space::memory_space> const in = qkv;
    ops::attention_forward(exec, heads, part(in, 0), part(in, 1), part(in, 2), out, log_sums);
    exec.fence();
  }
  void backward() const {
    ops::attention_backward(exec, heads, part(qkv, 0), part(qkv, 1), part(qkv, 2), out, log_sums, d_out, delta,
                            part(d_qkv, 0), part(d_qkv, 1), part(d_qkv, 2));
    exec.fence();
  }
  void check(double bound) const {
    auto const all = array_of(qkv);
    auto const q = reference::columns(all, 0, D);
    auto const k = reference::columns(all, D, D);
    auto const v = reference::columns(all, 2 * D, D);
    auto const expected = reference::attention_forward(heads, q, k, v);
    forward();
    CHECK(relative_error(out, expected.out.values) < bound);
    CHECK(relative_error(log_sums, expected.log_sums.values) < bound);
    auto const gradients = reference::attention_backward(heads, q, k, v, array_of(d_out));
    backward();
    auto const found = array_of(d_qkv);
    CHECK(relative_error(reference::columns(found, 2 * D, D).values, gradients.d_v.values) < bound);
    if (L == 1) return; // the softmax of one key is 1 whatever q and k are: gradients of zero but for rounding
    CHECK(relative_error(reference::columns(found, 0, D).values, gradients.d_q.values) < bound);
    CHECK(relative_error(reference::columns(found, D, D).values, gradients.d_k.values) < bound);
  }

  Space exec;
  std::size_t B, heads, L, D;
  Tensor<Space, T, 3> qkv, d_qkv, out, d_out, log_sums, delta;
};

} // namespace

TEST_CASE_TEMPLATE("attention equals the definition, forward and backward, on both sides of every tile boundary", Case,
                   DCHAG_TEST_CASES) {
  using T = typename Case::T;
  typename Case::ExecutionSpace const exec;
  for (std::size_t const L : {1u, 2u, 31u, 32u, 33u, 63u, 64u, 65u, 130u}) {
    CAPTURE(L);
    double const bound = tolerance<T>(1e-5, 1e-12);
    Attention<typename Case::ExecutionSpace, T>(exec, 1, 1, L, 1).check(bound);
    Attention<typename Case::ExecutionSpace, T>(exec, 2, 3, L, 5).check(bound);
    Attention<typename Case::ExecutionSpace, T>(exec, 1, 2, L, 32).check(bound);
  }
}

TEST_CASE_TEMPLATE("attention to a single token is its value", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  Attention<typename Case::ExecutionSpace, T> const one({}, 3, 2, 1, 7);
  one.forward();
  one.backward();
  CHECK(relative_error(one.out, reference::columns(array_of(one.qkv), 28, 14).values) < tolerance<T>(1e-6, 1e-15));
  auto const gradients = array_of(one.d_qkv);
  CHECK(relative_error(reference::columns(gradients, 0, 28).values, std::vector<double>(3 * 28)) <
        tolerance<T>(1e-5, 1e-14));
}

TEST_CASE_TEMPLATE("attention with logits up to 80 either way is finite and right", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  for (std::size_t const L : {2u, 33u, 65u, 130u}) {
    CAPTURE(L);
    Attention<typename Case::ExecutionSpace, T> const extreme({}, 2, 2, L, 4);
    auto qkv = array_of(extreme.qkv);
    auto const q = reference::columns(qkv, 0, 8);
    auto const k = reference::columns(qkv, 8, 8);
    double largest = 0;
    for (std::size_t b = 0; b < 2; ++b)
      for (std::size_t h = 0; h < 2; ++h)
        for (std::size_t l = 0; l < L; ++l)
          for (double logit : reference::attention_logits(2, q, k, b, h, l))
            largest = std::max(largest, std::fabs(logit));
    for (std::size_t b = 0; b < 2; ++b)
      for (std::size_t l = 0; l < L; ++l)
        for (std::size_t j = 0; j < 8; ++j) qkv(b, l, j) *= 80 / largest;
    assign(extreme.qkv, qkv.values);
    // a logit of 80 is rounded by 4e-6 in float, and that is the relative error of its exponential
    extreme.check(tolerance<T>(1e-4, 1e-12));
  }
}

TEST_CASE_TEMPLATE("attention with logits near 80 or -80 for whole tiles of keys, in any order", Case,
                   DCHAG_TEST_CASES) {
  using T = typename Case::T;
  // One head of one column: the logit is q k. A key's sign by tile makes the running maximum rise, fall or stay; its
  // size takes five values, lest the gradient of the queries be nothing but rounding.
  for (auto const sign :
       {+[](std::size_t) { return -1.0; }, +[](std::size_t m) { return m < 64 ? -1.0 : 1.0; },
        +[](std::size_t m) { return m < 64 ? 1.0 : -1.0; }, +[](std::size_t m) { return m % 2 == 0 ? 1.0 : -1.0; }}) {
    Attention<typename Case::ExecutionSpace, T> const extreme({}, 1, 1, 130, 1);
    auto qkv = array_of(extreme.qkv);
    for (std::size_t l = 0; l < 130; ++l) {
      qkv(0u, l, 0u) = 8;
      qkv(0u, l, 1u) = sign(l) * (10 - 0.25 * static_cast<double>(l % 5));
    }
    assign(extreme.qkv, qkv.values);
    // as above, and the gradient of the queries is a small difference of keys that are all near 10
    extreme.check(tolerance<T>(1e-3, 1e-11));
  }
}

TEST_CASE_TEMPLATE("attention: a query of NaN makes its own row NaN, and no other", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  Attention<typename Case::ExecutionSpace, T> const any({}, 2, 2, 66, 3);
  auto values = flat(any.qkv);
  std::size_t const row = 40; // of the first sample
  values[row * 3 * any.D] = nan_value;
  assign(any.qkv, values);
  any.forward();
  auto const out = flat(any.out);
  std::size_t const d = any.D / any.heads; // the first head's features
  for (std::size_t i = 0; i < out.size(); ++i) CHECK(math::is_nan(out[i]) == (i / any.D == row && i % any.D < d));
}

TEST_CASE_TEMPLATE("attention: gradients equal finite differences", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  if (sizeof(T) != sizeof(double)) return;
  for (std::size_t const L : {5u, 66u}) {
    Attention<typename Case::ExecutionSpace, T> const any({}, 2, 2, L, 3);
    auto const at = flat(any.qkv);
    auto const f = [&](std::vector<double> const& values) {
      assign(any.qkv, values);
      any.forward();
      return dot(flat(any.d_out), flat(any.out));
    };
    f(at);
    any.backward();
    CHECK(gradient_error(f, at, flat(any.d_qkv)) < 1e-6);
  }
}

TEST_CASE_TEMPLATE("attention: wrong shapes are errors", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Space const exec;
  auto const x = filled_tensor<T>(exec, {2, 5, 6}, 1);
  auto const other = filled_tensor<T>(exec, {2, 4, 6}, 1);
  auto const sums = filled_tensor<T>(exec, {2, 3, 5}, 1);
  CHECK_THROWS_WITH_AS(ops::attention_forward(exec, 4, x, x, x, x, sums),
                       "attention_forward: width D = 6 is not a multiple of heads = 4", ShapeError);
  CHECK_THROWS_WITH_AS(ops::attention_forward(exec, 3, x, other, x, x, sums),
                       "attention_forward: k is (2, 4, 6), expected (2, 5, 6)", ShapeError);
  CHECK_THROWS_AS(ops::attention_forward(exec, 0, x, x, x, x, sums), ShapeError);
  CHECK_THROWS_AS(ops::attention_forward(exec, 2, x, x, x, x, sums), ShapeError);
  CHECK_THROWS_AS(ops::attention_forward(exec, 3, other, x, x, x, sums), ShapeError);
  CHECK_THROWS_AS(ops::attention_forward(exec, 3, x, x, other, x, sums), ShapeError);
  auto const backward = [&](std::size_t heads, auto const& d_out, auto const& delta, auto const& d_q, auto const& d_k,
                            auto const& d_v) {
    ops::attention_backward(exec, heads, x, x, x, x, sums, d_out, delta, d_q, d_k, d_v);
  };
  CHECK_THROWS_AS(backward(0, x, sums, x, x, x), ShapeError);
  CHECK_THROWS_AS(backward(3, other, sums, x, x, x), ShapeError);
  CHECK_THROWS_AS(backward(3, x, other, x, x, x), ShapeError);
  CHECK_THROWS_AS(backward(3, x, sums, other, x, x), ShapeError);
  CHECK_THROWS_AS(backward(3, x, sums, x, other, x), ShapeError);
  CHECK_THROWS_AS(backward(3, x, sums, x, x, other), ShapeError);
}

} // namespace ops_attention
