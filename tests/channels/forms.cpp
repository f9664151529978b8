// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
// The fused forms of an aggregation are the materialized one, whatever the sizes: drawn at random, against each other
// and, where its loops are quick enough, against the definition.
#include <dchag/channels/channel_aggregator.hpp>

#include <support/aggregation.hpp>
#include <support/allocations.hpp>
#include <support/spaces.hpp>

namespace channels_forms {

using namespace dchag;
using namespace dchag::test;

namespace {

constexpr std::uint64_t sweep = 40; // draws

/// Sizes that depend on a number only.
struct Draw {
  AggregatorConfig config{};
  std::size_t samples = 1, rows = 1, columns = 1;
  Choice choice = {};
  std::size_t tile = 0;

  explicit Draw(std::uint64_t number) {
    Random const random(number, "forms");
    std::uint64_t next = 0;
    auto const one_of = [&](std::initializer_list<std::size_t> list) {
      return list.begin()[static_cast<std::size_t>(random.uniform(next++) * static_cast<double>(list.size()))];
    };
    config.channels = one_of({1, 2, 3, 7, 16, 33, 61, 128, 257, 600});
    config.patch = one_of({1, 2, 3, 4, 5, 6, 8, 16});
    config.heads = one_of({1, 2, 3, 5, 8, 16, 32});
    config.width = config.heads * one_of({1, 2, 3, 4, 8, 16});
    while (config.width > 96) config.width /= 2, config.heads = (config.heads + 1) / 2;
    config.width -= config.width % config.heads;
    config.projection_bias = random.uniform(next++) < 0.3;
    samples = one_of({1, 1, 2, 3});
    rows = one_of({1, 2, 3, 5});
    columns = one_of({1, 2, 4, 7});
    tile = one_of({0, 0, 1, 16, 40, 1000});
    auto const subset = [&](std::size_t count) { // some of `count`, in any order, at least one
      std::vector<std::size_t> list;
      for (std::size_t i = 0; i < count; ++i)
        if (random.uniform(next++) < 0.6) list.push_back(i);
      if (list.empty()) list.push_back(count - 1);
      for (std::size_t i = list.size() - 1; i > 0; --i)
        std::swap(list[i], list[static_cast<std::size_t>(random.uniform(next++) * static_cast<double>(i + 1))]);
      return list;
    };
    if (random.uniform(next++) < 0.4) choice.channels = subset(config.channels);
    if (random.uniform(next++) < 0.3) choice.positions.assign(samples, subset(rows * columns));
  }

  std::size_t planes() const { return choice.present(config.channels).size(); }
  double operations() const {
    return static_cast<double>(planes() * samples * rows * columns * config.width) *
           static_cast<double>(config.width + config.patch * config.patch);
  }
  std::string text() const {
    return concat("C ", config.channels, " planes ", planes(), " p ", config.patch, " D ", config.width, " h ",
                  config.heads, " B ", samples, " grid ", rows, " x ", columns, " tile ", tile, " bias ",
                  config.projection_bias);
  }
};

/// Normal values of such deviations that tokens, keys, values and logits are about 1.
template <class Model>
void fill(Model& model, AggregatorConfig const& config) {
  model.for_each_parameter([&](auto& parameter) {
    auto const& name = parameter.name();
    bool const is_matrix = parameter.spec().shape.size() == 2 && name.ends_with(".weight");
    double deviation = is_matrix ? 1 / std::sqrt(static_cast<double>(config.width)) : 0.7;
    if (name == "tokenizer.weight") deviation = 1 / static_cast<double>(config.patch);
    Random const random(7, name);
    std::vector<double> values(parameter.size());
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = deviation * random.normal(i);
    assign(parameter.values(), values);
  });
}

template <class Case, class Tree, class Form>
StepResult step(Draw const& draw, ops::Values values, bool with_reference, StepResult& reference) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Space const exec;
  Workspace<Space> workspace(exec);
  auto config = draw.config;
  config.pooling = {.values = values, .tile = draw.tile};
  ChannelAggregator<Space, T, Tree, Form> aggregator(exec, config);
  fill(aggregator, config);
  auto const pixels = random_tensor<T>(
      exec, 2, "image", {draw.samples, draw.planes(), draw.rows * config.patch, draw.columns * config.patch});
  if (with_reference) reference = reference_step<Tree>(config, values_of(aggregator), array_of(pixels), draw.choice);
  return step_of(workspace, aggregator, pixels, draw.choice);
}

template <class T>
void check_close(StepResult const& found, StepResult const& expected) {
  CHECK(relative_error(found.y, expected.y) < tolerance<T>(1e-5, 1e-12));
  CHECK(relative_error(found.d_image, expected.d_image) < tolerance<T>(1e-5, 1e-12));
  CHECK(worst_error(found.d_weights, expected.d_weights) < tolerance<T>(1e-5, 1e-12));
}

template <class Case, class Tree>
void compare(Draw const& draw) {
  using T = typename Case::T;
  INFO(draw.text());
  StepResult definition;
  bool const quick = draw.operations() < 3e6;
  auto const materialized = step<Case, Tree, Materialized>(draw, ops::Values::automatic, quick, definition);
  if (quick) check_close<T>(materialized, definition);
  for (auto const values : {ops::Values::tokens, ops::Values::pixels}) {
    CAPTURE(std::string(name_of(values)));
    auto const fused = step<Case, Tree, Fused>(draw, values, false, definition);
    check_close<T>(fused, quick ? definition : materialized);
  }
}

} // namespace

TEST_CASE_TEMPLATE("fused and materialized forms are one function, whatever the sizes", Case, DCHAG_TEST_CASES) {
  for (std::uint64_t number = 0; number < sweep; ++number) {
    CAPTURE(number);
    Draw const draw(number);
    compare<Case, Tree<CrossAttention>>(draw);
    if (number % 4 == 0) compare<Case, Tree<Linear>>(draw);
    if (number % 4 == 1) compare<Case, MixedTree<Level<CrossAttention, 3, Modules::shared>, Level<Linear, 1>>>(draw);
    if (number % 4 == 2)
      compare<Case, MixedTree<Level<Linear, 5>, Level<CrossAttention, 2>, Level<CrossAttention, 1>>>(draw);
    if (number % 4 == 3) compare<Case, Tree<CrossAttention, 4>>(draw);
  }
}

TEST_CASE_TEMPLATE("tokens of bfloat16 give the same function to two digits", Case, DCHAG_TEST_CASES) {
  if constexpr (std::is_same_v<typename Case::T, float>) {
    for (std::uint64_t number = 0; number < 40; number += 5) {
      Draw const draw(number);
      INFO(draw.text());
      StepResult none;
      auto const expected = step<Case, Tree<CrossAttention>, Fused>(draw, ops::Values::tokens, false, none);
      auto const found = step<Case, Tree<CrossAttention>, FusedBfloat16>(draw, ops::Values::tokens, false, none);
      CHECK(relative_error(found.y, expected.y) < 3e-2);
      CHECK(relative_error(found.d_image, expected.d_image) < 3e-2);
      CHECK(worst_error(found.d_weights, expected.d_weights) < 1e-1); // those of the query cancel
      bool const rounded = relative_error(found.y, expected.y) > 1e-6;
      CHECK((rounded || draw.planes() == 1)); // it is another form, not the same one
    }
  }
}

TEST_CASE_TEMPLATE("a fused step in steady state allocates nothing and holds D + 2 h numbers a position", Case,
                   DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Space const exec;
  std::size_t const B = 2, L = 12, D = 24, h = 3, p = 2;
  for (auto const values : {ops::Values::tokens, ops::Values::pixels}) {
    for (std::size_t const C : {5, 64, 200}) {
      CAPTURE(C);
      Workspace<Space> workspace(exec);
      ChannelAggregator<Space, T> aggregator(
          exec, {.channels = C, .patch = p, .width = D, .heads = h, .pooling = {.values = values}});
      auto const image = random_tensor<T>(exec, 2, "image", {B, C, 3 * p, 4 * p});
      auto const y = filled_tensor<T>(exec, {B, L, D}, 0);
      typename ChannelAggregator<Space, T>::Context context;
      auto const step = [&] {
        aggregator.forward(workspace, context, image, y);
        aggregator.backward(workspace, context, image, y, no_gradient);
        exec.fence();
      };
      step();
      step();
      {
        AllocationCounter const allocations;
        step();
        CHECK(allocations.number() == 0);
      }
      context = {};
      AllocationCounter const allocations;
      aggregator.forward(workspace, context, image, y);
      std::size_t const lists = 3 * C * sizeof(std::size_t); // planes, channels, members
      std::size_t const query = (1 + h) * D * sizeof(T);
      std::size_t const headers = allocations.by_label().size() * 256; // of Kokkos' own bookkeeping, at most
      CHECK(allocations.live() <= B * L * (D + 2 * h) * sizeof(T) + query + lists + headers);
    }
  }
}

TEST_CASE_TEMPLATE("frozen weights give the same output until they are planned anew", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Space const exec;
  Workspace<Space> workspace(exec);
  using Aggregator = ChannelAggregator<Space, T, Tree<CrossAttention, 3>>;
  Aggregator aggregator(exec, {.channels = 11, .patch = 3, .width = 16, .heads = 4, .projection_bias = true});
  randomize(aggregator, 0.2);
  auto const image = random_tensor<T>(exec, 2, "image", {2, 11, 6, 9});
  auto const part = random_tensor<T>(exec, 3, "part", {2, 2, 6, 9});
  std::vector<std::size_t> const list{7, 2};
  auto const output = [&](typename Aggregator::Context& context, auto const& input) {
    auto const y = filled_tensor<T>(exec, {2, 6, 16}, nan_value);
    aggregator.forward(workspace, context, input, y);
    exec.fence();
    return flat(y);
  };
  typename Aggregator::Context context, frozen;
  aggregator.freeze(workspace, frozen, image);
  CHECK(relative_error(output(frozen, image), output(context, image)) < tolerance<T>(1e-5, 1e-12));
  CHECK(relative_error(output(frozen, Image{part, std::span(list)}), output(context, Image{part, std::span(list)})) <
        tolerance<T>(1e-5, 1e-12));
}

} // namespace channels_forms
