// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/ops/fused_pooling.hpp>

#include <reference/channel_aggregation.hpp>
#include <reference/pooling.hpp>
#include <support/allocations.hpp>
#include <support/arrays.hpp>
#include <support/sentence.hpp>
#include <support/spaces.hpp>

namespace ops_pooling_batched {

using namespace dchag;
using namespace dchag::test;
using ops::Values;

namespace {

struct Sizes {
  std::size_t tokens, patch, heads, d;            // C, p, h, D / h
  std::size_t samples = 1, rows = 1, columns = 1; // of patches
  std::size_t held = 0;                           // channels, more than C: the tokens are some of them, shuffled
  double logits = 1;                              // standard deviation
  std::size_t width = 0;                          // D, where not all heads are here: else h d
};

template <class View>
View times(View const& view, double factor) {
  auto values = flat(view);
  for (double& x : values) x *= factor;
  assign(view, values);
  return view;
}

/// What bfloat16 leaves of the numbers.
template <class View>
void round_numbers(View const& view) {
  auto values = flat(view);
  for (double& x : values) x = static_cast<double>(bfloat16(x));
  assign(view, values);
}

/// The weights of the tokens [begin, end).
template <class Space, class T>
ops::PoolingWeights<Space, T> part_of(ops::PoolingWeights<Space, T> weights, std::size_t begin, std::size_t end) {
  auto& channels = weights.patch_embedding.channels;
  channels = Tensor<Space, std::size_t, 1>(channels.data() + begin, end - begin);
  return weights;
}

/// A pooling with all its numbers, and what the definition gives for it.
template <class Space, class T, class Pixel = T>
struct Problem {
  using Image = Tensor<Space, Pixel, 4>;
  using Weights = ops::PoolingWeights<Space, T>;
  using Patches = ops::Patches<Image, typename Space::memory_space>;

  explicit Problem(Sizes const& sizes)
      : C(sizes.tokens), K(std::max(sizes.held, C)), p(sizes.patch), h(sizes.heads), V(h * sizes.d),
        D(sizes.width == 0 ? V : sizes.width), N(sizes.samples * sizes.rows * sizes.columns), channels(some_channels()),
        image(random_tensor<Pixel>(exec, 1, "image", {sizes.samples, C, sizes.rows * p, sizes.columns * p})),
        weights(weights_of("")), d_weights(weights_of("d")), d_o(random_tensor<T>(exec, 1, "d_o", {N, V})),
        delta(filled_tensor<T>(exec, {N, h}, 0)), pooled{filled_tensor<T>(exec, {N, V}, nan_value),
                                                         filled_tensor<T>(exec, {N, h}, nan_value),
                                                         filled_tensor<T>(exec, {N, h}, nan_value)},
        cut(reference::whole(array_of(image), p)) {
    times(weights.query, sizes.logits / std::sqrt(static_cast<double>(D * (p * p + 2))));
    Kokkos::deep_copy(d_weights.query, static_cast<T>(nan_value)); // overwritten, the others are added to
  }

  std::vector<std::size_t> some_channels() const {
    std::vector<std::size_t> list(C);
    std::size_t step = 7; // coprime to the counts that are used, lest a channel come twice
    for (std::size_t c = 0; c < C; ++c) list[c] = K == C ? c : (3 + c * step) % K;
    return list;
  }
  Weights weights_of(std::string const& prefix) const {
    return {{random_tensor<T>(exec, 1, prefix + "weight", {K, D, p * p}),
             random_tensor<T>(exec, 1, prefix + "bias", {K, D}),
             random_tensor<T>(exec, 1, prefix + "embedding", {K, D}), index_tensor(exec, channels)},
            random_tensor<T>(exec, 1, prefix + "query", {h, D}),
            random_tensor<T>(exec, 1, prefix + "value", {V, D})};
  }
  static Patches patches(Image const& from, std::size_t patch) { return {from, patch, {}, {}}; }

  /// The sum over a head's features of d_o o.
  void make_delta() {
    auto const o = array_of(pooled.o);
    auto const d = array_of(d_o);
    reference::Array<2> sums({N, h});
    for (std::size_t n = 0; n < N; ++n)
      for (std::size_t j = 0; j < V; ++j) sums(n, j * h / V) += d(n, j) * o(n, j);
    assign(delta, sums.values);
  }

  struct Expected {
    reference::Pooling forward;
    reference::PoolingGradients gradients;
    reference::Model model;
    reference::Array<4> d_image;
  };
  Expected expected(bool rounded_tokens = false) const {
    reference::Model model{D, h, {}};
    model.weights = {{"tokenizer.weight", flat(weights.patch_embedding.weight)},
                     {"tokenizer.bias", flat(weights.patch_embedding.bias)},
                     {"tokenizer.embedding", flat(weights.patch_embedding.embedding)}};
    model.gradients = {{"tokenizer.weight", flat(d_weights.patch_embedding.weight)},
                       {"tokenizer.bias", flat(d_weights.patch_embedding.bias)},
                       {"tokenizer.embedding", flat(d_weights.patch_embedding.embedding)}};
    auto x = reference::tokenize(model, channels, array_of(image), cut).x;
    if (rounded_tokens)
      for (double& token : x.values) token = static_cast<double>(bfloat16(token));
    auto const r = array_of(weights.query);
    auto const value = array_of(weights.value);
    auto gradients = reference::pooling_backward(r, value, x, array_of(d_o));
    auto const before = flat(d_weights.value);
    for (std::size_t i = 0; i < before.size(); ++i) gradients.d_value.values[i] += before[i];
    auto d_image = reference::tokenize_backward(model, channels, array_of(image), cut, gradients.d_x);
    return {reference::pooling_forward(r, value, x), gradients, model, d_image};
  }

  Space exec{};
  Workspace<Space> workspace{exec};
  std::size_t C, K, p, h, V, D, N;
  std::vector<std::size_t> channels;
  Image image;
  Weights weights, d_weights;
  Tensor<Space, T, 2> d_o, delta;
  ops::Pooled<Space, T> pooled;
  reference::Cut cut;
};

/// Forward and backward by the library against what is expected.
template <class Space, class T, class Pixel>
void check_problem(Sizes const& sizes, ops::PoolingChoice const& choice, bool with_image,
                   typename Problem<Space, T, Pixel>::Expected const& expected, double bound) {
  CAPTURE((choice.values == Values::pixels));
  CAPTURE(choice.tile);
  CAPTURE(with_image);
  Problem<Space, T, Pixel> problem(sizes);
  auto const& pooled = problem.pooled;
  auto const patches = problem.patches(problem.image, problem.p);
  ops::detail::batched_pooling_forward(problem.workspace, choice, patches, problem.weights, pooled);
  problem.exec.fence();
  CHECK(relative_error(pooled.o, expected.forward.o.values) < bound);
  CHECK(relative_error(pooled.maximum, expected.forward.maximum.values) < bound);
  CHECK(relative_error(pooled.sum, expected.forward.sum.values) < bound);

  problem.make_delta();
  auto const& d = problem.d_weights;
  auto const backward = [&](auto const& d_patches) {
    ops::detail::batched_pooling_backward(problem.workspace, choice, patches, problem.weights, pooled, problem.d_o,
                                          problem.delta, d, d_patches);
    problem.exec.fence();
  };
  if (with_image) {
    auto const d_image = random_tensor<Pixel>(problem.exec, 2, "d_image", extents_of(problem.image));
    backward(problem.patches(d_image, problem.p));
    CHECK(relative_error(d_image, expected.d_image.values) < bound);
  } else {
    backward(no_gradient);
  }
  auto const& gradients = expected.model.gradients;
  CHECK(relative_error(d.patch_embedding.weight, gradients.at("tokenizer.weight")) < bound);
  CHECK(relative_error(d.patch_embedding.bias, gradients.at("tokenizer.bias")) < bound);
  CHECK(relative_error(d.patch_embedding.embedding, gradients.at("tokenizer.embedding")) < bound);
  CHECK(relative_error(d.value, expected.gradients.d_value.values) < bound);
  if (problem.C == 1) { // the softmax of one token is 1 whatever the query
    CHECK(relative_error(d.query, std::vector<double>(problem.h * problem.D)) == 0);
    return;
  }
  CHECK(relative_error(d.query, expected.gradients.d_query.values) < bound);
}

template <class Case, class Pixel = typename Case::T>
void check_both_forms(Sizes const& sizes, double in_float = 1e-5) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  CAPTURE(sizes.tokens);
  CAPTURE(sizes.patch);
  CAPTURE(sizes.heads);
  auto const expected = Problem<Space, T, Pixel>(sizes).expected();
  double const bound = tolerance<T>(in_float, 1e-12);
  for (auto const values : {Values::tokens, Values::pixels})
    for (std::size_t const tile : {3u, 0u})
      check_problem<Space, T, Pixel>(sizes, {values, tile}, tile == 0, expected, bound);
}

} // namespace

TEST_CASE_TEMPLATE("batched pooling equals the definition, forward and backward", Case, DCHAG_TEST_CASES) {
  check_both_forms<Case>({.tokens = 1, .patch = 2, .heads = 1, .d = 1});
  check_both_forms<Case>({.tokens = 1, .patch = 1, .heads = 2, .d = 5, .rows = 7});
  check_both_forms<Case>({.tokens = 5, .patch = 1, .heads = 3, .d = 4, .samples = 2, .rows = 5, .columns = 5});
  check_both_forms<Case>({.tokens = 5, .patch = 3, .heads = 1, .d = 8});
  check_both_forms<Case>({.tokens = 37, .patch = 2, .heads = 8, .d = 6, .rows = 7});
  check_both_forms<Case>({.tokens = 37, .patch = 4, .heads = 4, .d = 7, .samples = 2, .rows = 5, .columns = 5});
  check_both_forms<Case>({.tokens = 130, .patch = 8, .heads = 2, .d = 3, .columns = 7});
  check_both_forms<Case>({.tokens = 130, .patch = 1, .heads = 8, .d = 2, .samples = 2, .rows = 5, .columns = 5});
}

TEST_CASE_TEMPLATE("batched pooling by some of a module's heads", Case, DCHAG_TEST_CASES) {
  check_both_forms<Case>({.tokens = 5, .patch = 2, .heads = 1, .d = 1, .rows = 7, .width = 12});
  check_both_forms<Case>({.tokens = 37, .patch = 3, .heads = 3, .d = 4, .columns = 7, .held = 40, .width = 48});
}

TEST_CASE_TEMPLATE("batched pooling of some of the channels, in any order", Case, DCHAG_TEST_CASES) {
  check_both_forms<Case>({.tokens = 5, .patch = 2, .heads = 2, .d = 4, .rows = 7, .held = 9});
  check_both_forms<Case>({.tokens = 37, .patch = 3, .heads = 3, .d = 5, .columns = 7, .held = 130});
}

TEST_CASE_TEMPLATE("batched pooling in parts of the channels, where all at a time are too many", Case,
                   DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  if (!runs_on_host<Space>) return; // a device's scratch holds more than the definition can check
  Sizes const many{.tokens = 250, .patch = 1, .heads = 2, .d = 12, .samples = 4, .rows = 5, .columns = 5};
  CHECK(ops::detail::token_tiles<Space>({100, 250, 1, 24, 2, 24}, 2, 1000).tokens == 125);
  check_problem<Space, T, T>(many, {Values::tokens, 1000}, true, Problem<Space, T>(many).expected(),
                             tolerance<T>(1e-5, 1e-12));
  Sizes const large{.tokens = 9, .patch = 16, .heads = 2, .d = 192, .rows = 2};
  CHECK(ops::detail::pixel_tiles<Space>({2, 9, 256, 384, 2, 384}, 0).tokens == 1);
  check_problem<Space, T, T>(large, {Values::pixels, 0}, true, Problem<Space, T>(large).expected(),
                             tolerance<T>(2e-5, 1e-12));
}

TEST_CASE_TEMPLATE("batched pooling: the gradients of parts of the tokens, given the statistics of all, add up", Case,
                   DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Sizes const sizes{.tokens = 37, .patch = 2, .heads = 4, .d = 3, .rows = 7, .held = 40};
  double const bound = tolerance<T>(1e-5, 1e-12);
  for (auto const values : {Values::tokens, Values::pixels}) {
    Problem<Space, T> problem(sizes);
    auto const expected = problem.expected();
    ops::PoolingChoice const choice{values, 3};
    auto const all = problem.patches(problem.image, problem.p);
    ops::detail::batched_pooling_forward(problem.workspace, choice, all, problem.weights, problem.pooled);
    problem.exec.fence();
    problem.make_delta();
    auto const d_image = filled_tensor<T>(problem.exec, {1, 37, 14, 2}, 0);
    std::vector<double> d_query(problem.h * problem.D);
    for (auto const& [begin, end] : {std::pair<std::size_t, std::size_t>(0, 11), {11, 37}}) {
      auto const weights = part_of(problem.weights, begin, end);
      auto const d_weights = part_of(problem.d_weights, begin, end);
      auto patches = all;
      auto d_patches = problem.patches(d_image, problem.p);
      std::vector<std::size_t> planes;
      for (std::size_t c = begin; c < end; ++c) planes.push_back(c);
      patches.planes = index_tensor(problem.exec, planes);
      d_patches.planes = patches.planes;
      ops::detail::batched_pooling_backward(problem.workspace, choice, patches, weights, problem.pooled, problem.d_o,
                                            problem.delta, d_weights, d_patches);
      problem.exec.fence();
      d_query = sum_of(d_query, flat(d_weights.query));
    }
    auto const& d = problem.d_weights;
    CHECK(relative_error(d_query, expected.gradients.d_query.values) < bound);
    CHECK(relative_error(d.value, expected.gradients.d_value.values) < bound);
    CHECK(relative_error(d.patch_embedding.weight, expected.model.gradients.at("tokenizer.weight")) < bound);
    CHECK(relative_error(d.patch_embedding.embedding, expected.model.gradients.at("tokenizer.embedding")) < bound);
    CHECK(relative_error(d_image, expected.d_image.values) < bound);
  }
}

TEST_CASE_TEMPLATE("batched pooling with logits up to 80 either way is finite and right", Case, DCHAG_TEST_CASES) {
  check_both_forms<Case>({.tokens = 37, .patch = 2, .heads = 4, .d = 4, .rows = 7, .logits = 30}, 3e-4);
}

TEST_CASE_TEMPLATE("batched pooling with values that were folded before", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  for (Sizes const& sizes : {Sizes{.tokens = 5, .patch = 3, .heads = 2, .d = 4, .rows = 7, .held = 9},
                             Sizes{.tokens = 9, .patch = 2, .heads = 2, .d = 3, .rows = 5, .width = 24},
                             Sizes{.tokens = 9, .patch = 16, .heads = 2, .d = 192, .rows = 2}}) { // in parts
    Problem<Space, T> problem(sizes);
    auto const folded = filled_tensor<T>(problem.exec, {problem.C, problem.p * problem.p + 1, problem.V}, nan_value);
    ops::fold_values(problem.workspace, problem.weights, folded);
    auto const expected = problem.expected();
    Kokkos::deep_copy(problem.weights.value, static_cast<T>(nan_value)); // shows what is read
    ops::detail::batched_pooling_forward(problem.workspace, {Values::tokens, 3},
                                         problem.patches(problem.image, problem.p), problem.weights, problem.pooled,
                                         folded);
    problem.exec.fence();
    CHECK(relative_error(problem.pooled.o, expected.forward.o.values) < tolerance<T>(1e-5, 1e-12));

    Kokkos::deep_copy(problem.pooled.o, static_cast<T>(nan_value));
    auto const plan =
        ops::fused_pooling_forward(problem.workspace, {Values::tokens, 3}, problem.patches(problem.image, problem.p),
                                   problem.weights, problem.pooled, folded);
    problem.exec.fence();
    CHECK(relative_error(problem.pooled.o, expected.forward.o.values) < tolerance<T>(1e-5, 1e-12));
    auto const n = ops::detail::sizes_of(problem.patches(problem.image, problem.p), problem.weights);
    CHECK((plan.values == Values::pixels)); // whatever was chosen
    CHECK(plan.operations == ops::pooling_operations(Values::pixels, n));
    CHECK(plan.alternative == ops::pooling_operations(Values::tokens, n));
  }
}

TEST_CASE_TEMPLATE("batched pooling of pixels of another type", Case, DCHAG_TEST_CASES) {
  using Other = std::conditional_t<std::is_same_v<typename Case::T, float>, double, float>;
  using T = typename Case::T;
  Sizes const sizes{.tokens = 5, .patch = 2, .heads = 2, .d = 4, .rows = 7};
  auto const expected = Problem<typename Case::ExecutionSpace, T, Other>(sizes).expected();
  for (auto const values : {Values::tokens, Values::pixels})
    check_problem<typename Case::ExecutionSpace, T, Other>(sizes, {values, 0}, true, expected, 1e-5);
}

TEST_CASE_TEMPLATE("batched pooling of tokens stored as bfloat16", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  if constexpr (std::is_same_v<typename Case::T, float>) {
    // Against numbers that were rounded before, and tokens that were rounded, only what is made of them differs.
    for (bool const rounded : {false, true}) {
      CAPTURE(rounded);
      Problem<Space, float> problem(
          {.tokens = 37, .patch = 4, .heads = 4, .d = 6, .samples = 2, .rows = 5, .columns = 5});
      auto const& weights = problem.weights;
      if (rounded) {
        Kokkos::deep_copy(weights.patch_embedding.embedding, 0.f); // its sum with the bias is what is rounded
        round_numbers(problem.image);
        round_numbers(weights.patch_embedding.weight);
        round_numbers(weights.patch_embedding.bias);
        round_numbers(weights.query);
        round_numbers(weights.value);
        round_numbers(problem.d_o);
      }
      auto const expected = problem.expected(rounded);
      // g is rounded to 2^-9: logits of 5 are wrong by 0.01, and so are the weights of the tokens that count most.
      double const bound = rounded ? 1e-2 : 2e-2;
      ops::PoolingChoice const choice{Values::tokens, 16};
      auto const patches = problem.patches(problem.image, problem.p);
      ops::detail::batched_pooling_forward<bfloat16>(problem.workspace, choice, patches, weights, problem.pooled);
      problem.exec.fence();
      CHECK(relative_error(problem.pooled.o, expected.forward.o.values) < bound);
      CHECK(relative_error(problem.pooled.maximum, expected.forward.maximum.values) < bound);
      CHECK(relative_error(problem.pooled.sum, expected.forward.sum.values) < bound);
      problem.make_delta();
      auto const& d = problem.d_weights;
      auto const d_image = random_tensor<float>(problem.exec, 2, "d_image", extents_of(problem.image));
      ops::detail::batched_pooling_backward<bfloat16>(problem.workspace, choice, patches, weights, problem.pooled,
                                                      problem.d_o, problem.delta, d,
                                                      problem.patches(d_image, problem.p));
      problem.exec.fence();
      auto const& gradients = expected.model.gradients;
      CHECK(relative_error(d.patch_embedding.weight, gradients.at("tokenizer.weight")) < bound);
      CHECK(relative_error(d.patch_embedding.bias, gradients.at("tokenizer.bias")) < bound);
      CHECK(relative_error(d.value, expected.gradients.d_value.values) < bound);
      CHECK(relative_error(d.query, expected.gradients.d_query.values) < bound);
      CHECK(relative_error(d_image, expected.d_image.values) < bound);
    }
  }
}

TEST_CASE_TEMPLATE("batched pooling of a strided image, at some of its positions", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Sizes const sizes{.tokens = 5, .patch = 2, .heads = 2, .d = 4, .samples = 2, .columns = 3};
  for (auto const values : {Values::tokens, Values::pixels}) {
    Problem<Space, T> problem(sizes);
    auto const expected = problem.expected();
    // Samples run last, and six positions are there: the three of the problem are 4, 0 and 5, in a row below or not.
    using Strided = Kokkos::View<T****, Kokkos::LayoutLeft, typename Space::memory_space>;
    auto const positions = filled_tensor<std::size_t>(problem.exec, {2, 3}, 0);
    auto const at = to_host(positions);
    std::vector<std::size_t> const list{4, 0, 5};
    Strided const image("dchag::test::image", 2, 5, 4, 6);
    Strided const d_image("dchag::test::d_image", 2, 5, 4, 6);
    auto const host = Kokkos::create_mirror_view(image);
    auto const from = array_of(problem.image);
    for (std::size_t b = 0; b < 2; ++b) {
      for (std::size_t i = 0; i < 3; ++i) {
        at(b, i) = list[i];
        for (std::size_t c = 0; c < 5; ++c)
          for (std::size_t y = 0; y < 2; ++y)
            for (std::size_t x = 0; x < 2; ++x)
              host(b, c, list[i] / 3 * 2 + y, list[i] % 3 * 2 + x) = static_cast<T>(from(b, c, y, i * 2 + x));
      }
    }
    Kokkos::deep_copy(positions, at);
    Kokkos::deep_copy(image, host);
    using Patches = ops::Patches<Strided, typename Space::memory_space>;
    ops::PoolingChoice const choice{values, 4};
    Patches const patches{image, 2, {}, positions};
    auto const& d = problem.d_weights;
    ops::detail::batched_pooling_forward(problem.workspace, choice, patches, problem.weights, problem.pooled);
    problem.exec.fence();
    problem.make_delta();
    ops::detail::batched_pooling_backward(problem.workspace, choice, patches, problem.weights, problem.pooled,
                                          problem.d_o, problem.delta, d, Patches{d_image, 2, {}, positions});
    problem.exec.fence();
    double const bound = tolerance<T>(1e-5, 1e-12);
    CHECK(relative_error(problem.pooled.o, expected.forward.o.values) < bound);
    CHECK(relative_error(d.patch_embedding.weight, expected.model.gradients.at("tokenizer.weight")) < bound);
    auto const found = Kokkos::create_mirror_view(d_image);
    Kokkos::deep_copy(found, d_image);
    reference::Array<4> d_read(expected.d_image.extents);
    for (std::size_t b = 0; b < 2; ++b)
      for (std::size_t c = 0; c < 5; ++c)
        for (std::size_t y = 0; y < 2; ++y)
          for (std::size_t x = 0; x < 6; ++x)
            d_read(b, c, y, x) = static_cast<double>(found(b, c, list[x / 2] / 3 * 2 + y, list[x / 2] % 3 * 2 + x % 2));
    CHECK(relative_error(d_read.values, expected.d_image.values) < bound);
    CHECK(found(0, 0, 0, 2) == T(0)); // a position that was not read
  }
}

TEST_CASE_TEMPLATE("batched pooling allocates nothing once its workspace has grown", Case, DCHAG_TEST_CASES) {
  using T = typename Case::T;
  Problem<typename Case::ExecutionSpace, T> problem({.tokens = 5, .patch = 2, .heads = 2, .d = 4, .rows = 7});
  auto const patches = problem.patches(problem.image, problem.p);
  auto const d_image = filled_tensor<T>(problem.exec, {1, 5, 14, 2}, 0);
  auto const step = [&] {
    for (auto const values : {Values::tokens, Values::pixels}) {
      ops::detail::batched_pooling_forward(problem.workspace, {values, 3}, patches, problem.weights, problem.pooled);
      ops::detail::batched_pooling_backward(problem.workspace, {values, 3}, patches, problem.weights, problem.pooled,
                                            problem.d_o, problem.delta, problem.d_weights,
                                            problem.patches(d_image, problem.p));
    }
    problem.exec.fence();
  };
  step();
  step(); // what the workspace grew in the first becomes one block
  AllocationCounter const counter;
  step();
  CHECK(counter.number() == 0);
}

TEST_CASE_TEMPLATE("batched pooling takes the values from where they cost least", Case, DCHAG_TEST_CASES) {
  CHECK(ops::cheaper_values({65536, 500, 1, 1024, 16, 1024}, Values::automatic) == Values::pixels);
  CHECK(ops::cheaper_values({4096, 128, 256, 1024, 16, 1024}, Values::automatic) == Values::tokens);
  CHECK(ops::cheaper_values({1, 128, 1, 1024, 16, 1024}, Values::automatic) == Values::tokens);
  CHECK(ops::cheaper_values({4096, 128, 256, 1024, 16, 1024}, Values::pixels) == Values::pixels);
}

TEST_CASE_TEMPLATE("batched pooling: wrong shapes are errors", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Problem<Space, T> problem({.tokens = 5, .patch = 2, .heads = 2, .d = 4, .rows = 7});
  auto const patches = problem.patches(problem.image, problem.p);
  auto const forward = [&](auto const& source, auto const& weights, auto const& pooled) {
    ops::detail::batched_pooling_forward(problem.workspace, {}, source, weights, pooled);
  };
  auto weights = problem.weights;
  weights.query = filled_tensor<T>(problem.exec, {3, 8}, 0);
  CHECK_THROWS_WITH_AS(forward(patches, weights, problem.pooled),
                       "batched_pooling_forward: V = 8 features of the output are not a multiple of heads = 3",
                       ShapeError);
  CHECK_THROWS_WITH_AS(
      forward(problem.patches(problem.image, 1), problem.weights, problem.pooled),
      "batched_pooling_forward: patches are of C = 5 channels of s = 1 pixels, expected C = 5 and s = 4", ShapeError);
  weights = problem.weights;
  weights.value = filled_tensor<T>(problem.exec, {8, 4}, 0);
  CHECK_THROWS_AS(forward(patches, weights, problem.pooled), ShapeError);
  CHECK_THROWS_AS(forward(patches, part_of(problem.weights, 0, 0), problem.pooled), ShapeError);
  auto pooled = problem.pooled;
  pooled.sum = filled_tensor<T>(problem.exec, {7, 3}, 0);
  CHECK_THROWS_AS(forward(patches, problem.weights, pooled), ShapeError);
  CHECK_THROWS_AS(ops::detail::batched_pooling_backward(problem.workspace, {}, patches, problem.weights, problem.pooled,
                                                        problem.delta, problem.delta, problem.d_weights, no_gradient),
                  ShapeError);

  // gradients that fit each other, but not the weights
  auto const refused = [&](auto const& d_weights, auto const& d_patches) {
    auto const batched = sentence_of<ShapeError>([&] {
      ops::detail::batched_pooling_backward(problem.workspace, {}, patches, problem.weights, problem.pooled,
                                            problem.d_o, problem.delta, d_weights, d_patches);
    });
    auto const fused = sentence_of<ShapeError>([&] {
      ops::fused_pooling_backward(problem.workspace, {}, patches, problem.weights, problem.pooled, problem.d_o,
                                  problem.delta, d_weights, d_patches);
    });
    return batched.substr(batched.find(':')) == fused.substr(fused.find(':')) ? fused : batched + " but " + fused;
  };
  Problem<Space, T> const more({.tokens = 5, .patch = 2, .heads = 2, .d = 4, .rows = 7, .held = 9});
  CHECK(refused(more.d_weights, no_gradient) == "fused_pooling_backward: d_weight is (9, 8, 4), expected (5, 8, 4)");
  Problem<Space, T> const wider({.tokens = 5, .patch = 2, .heads = 2, .d = 4, .rows = 7, .width = 24});
  CHECK(refused(wider.d_weights, no_gradient) == "fused_pooling_backward: d_weight is (5, 24, 4), expected (5, 8, 4)");
  auto d_weights = problem.d_weights;
  d_weights.patch_embedding.channels = index_tensor(problem.exec, {0, 1});
  CHECK(refused(d_weights, no_gradient) == "fused_pooling_backward: gradients of C = 2 channels, expected C = 5");
  CHECK(refused(problem.d_weights, problem.patches(problem.image, 1)) ==
        "fused_pooling_backward: d_patches are of C = 5, N = 28, s = 1, expected C = 5, N = 7, s = 4");
}

TEST_CASE_TEMPLATE("pooling of no positions is nothing, and its gradients are none", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  for (auto const values : {Values::tokens, Values::pixels}) {
    Problem<Space, T> problem({.tokens = 5, .patch = 2, .heads = 2, .d = 4, .samples = 0});
    auto const& d = problem.d_weights;
    auto const before = flat(d.value);
    auto const patches = problem.patches(problem.image, problem.p);
    ops::fused_pooling_forward(problem.workspace, {values, 0}, patches, problem.weights, problem.pooled);
    ops::fused_pooling_backward(problem.workspace, {values, 0}, patches, problem.weights, problem.pooled, problem.d_o,
                                problem.delta, d, no_gradient);
    problem.exec.fence();
    CHECK(relative_error(d.query, std::vector<double>(problem.h * problem.D)) == 0);
    CHECK(relative_error(d.value, before) == 0);
  }
}

} // namespace ops_pooling_batched
