// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/channels/flat_aggregator.hpp>

#include <support/distributed.hpp>

namespace channels_flat_aggregator {

using namespace dchag;
using namespace dchag::test;
using comm::Communicator;

namespace {

/// All ranks, in this form, against the model of one rank, in both.
template <class Case, class Form>
void check(AggregatorConfig const& config, std::array<std::size_t, 4> const& extents, Choice const& choice = {}) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  CAPTURE(config.channels);
  Space const exec;
  Communicator const world;
  FlatAggregator<Space, T, Form> ranks(exec, world, config);
  ChannelAggregator<Space, T> one(exec, config);
  CHECK(starts_as(ranks, one));
  check_equals_one(ranks, one, extents, choice);
  ChannelAggregator<Space, T, Tree<CrossAttention>, Materialized> published(exec, config);
  check_equals_one(ranks, published, extents, choice);
}

template <class Case, class Form>
void check_all(ops::Values values) {
  CAPTURE(std::string(name_of(values)));
  check<Case, Form>({.channels = 37, .patch = 2, .width = 8, .heads = 2, .pooling = {.values = values}}, {2, 37, 4, 6});
  check<Case, Form>({.channels = 4,
                     .patch = 1,
                     .width = 12,
                     .heads = 4,
                     .projection_bias = true,
                     .pooling = {.values = values, .tile = 16}},
                    {1, 4, 7, 5});
  // on several ranks, some have none of these channels
  check<Case, Form>({.channels = 37, .patch = 2, .width = 8, .heads = 2, .pooling = {.values = values}}, {2, 3, 4, 6},
                    {.channels = {4, 1, 3}, .positions = {{5, 0}, {1, 4}}});
  check<Case, Form>({.channels = 37, .patch = 2, .width = 8, .heads = 2, .pooling = {.values = values}}, {1, 1, 2, 2},
                    {.channels = {20}});
}

} // namespace

TEST_CASE_TEMPLATE("FlatAggregator: any number of ranks is the flat cross-attention of one", Case, DCHAG_TEST_CASES) {
  check_all<Case, Fused>(ops::Values::tokens);
  check_all<Case, Fused>(ops::Values::pixels);
  check_all<Case, Materialized>(ops::Values::automatic);
}

// One rank's logits are near 80, another's near -80: the merged softmax must neither overflow nor lose the others.
template <class Case, class Form>
void check_large_logits() {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Space const exec;
  Workspace<Space> workspace(exec);
  Communicator const world;
  AggregatorConfig const config{.channels = 8, .patch = 1, .width = 4, .heads = 1};
  FlatAggregator<Space, T, Form> ranks(exec, world, config);
  ChannelAggregator<Space, T, Tree<CrossAttention>, Form> one(exec, config);
  auto const set = [&](auto& model) {
    randomize(model);
    model.for_each_parameter([&](auto& parameter) {
      auto const& name = parameter.name();
      std::vector<double> values = flat(parameter.values());
      bool const projection = name == "tree.level0.module0.k.weight" || name == "tree.level0.module0.q.weight";
      if (projection) // the logit is the first feature of the token
        for (std::size_t i = 0; i < values.size(); ++i) values[i] = i % 5 == 0;
      if (name == "tree.level0.module0.query") values = {2, 0, 0, 0};
      if (name == "tokenizer.embedding")
        for (std::size_t i = 0; i < values.size(); i += 4)
          values[i] = 80 * static_cast<double>((index_in_whole(parameter.spec(), i)) / 4 % 3) - 80;
      assign(parameter.values(), values);
    });
  };
  set(ranks);
  set(one);
  auto const image = random_tensor<T>(exec, 8, "image", {1, 8, 3, 3});
  auto const planes = own_planes(ranks.own_channels(), 8, {});
  auto const found = step_of(workspace, ranks, planes_of(exec, image, planes));
  auto const expected = step_of(workspace, one, image);
  CHECK(relative_error(found.y, expected.y) < tolerance<T>(1e-5, 1e-12));
  // a float logit of 80 is known to 4e-6, and so is its weight; the gradients of the keys then cancel
  CHECK(worst_error(found.d_weights, part_of(expected.d_weights, ranks)) < tolerance<T>(1e-4, 1e-12));
}
TEST_CASE_TEMPLATE("FlatAggregator: logits of +-80 on different ranks", Case, DCHAG_TEST_CASES) {
  check_large_logits<Case, Fused>();
  check_large_logits<Case, Materialized>();
}

/// Numbers that each rank gives to the reduction of the backward pass.
template <class Case, class Form>
void check_traffic(bool biased, std::size_t backward) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Communicator const world;
  bool const alone = world.size() == 1;
  std::size_t const B = 2, positions = 6, N = B * positions, D = 8, h = 2;
  for (std::size_t const C : {5, 37, 64}) {
    support::CommCount const construction;
    FlatAggregator<Space, T, Form> aggregator(
        Space(), world, {.channels = C, .patch = 2, .width = D, .heads = h, .projection_bias = biased});
    CHECK(construction.total_calls() == (alone ? 0 : 1));
    auto const traffic = traffic_of(aggregator, positions, {B, aggregator.own_channels().size(), 4, 6});
    CHECK(traffic.calls_forward == (alone ? 0 : 2));
    CHECK(traffic.bytes_forward == (alone ? 0 : N * (D + 2 * h) * sizeof(T)));
    CHECK(traffic.calls_backward == (alone ? 0 : 1));
    CHECK(traffic.bytes_backward == (alone ? 0 : backward * sizeof(T)));
  }
}
TEST_CASE_TEMPLATE("FlatAggregator: two reductions forward, one backward, of bytes that know neither C nor P", Case,
                   DCHAG_TEST_CASES) {
  check_traffic<Case, Fused>(false, 8 * 8 + 2 * 8);
  check_traffic<Case, Fused>(true, 8 * 8 + 2 * 8);
  check_traffic<Case, Materialized>(false, 2 * 8 * 8 + 8);
  check_traffic<Case, Materialized>(true, 2 * 8 * 8 + 3 * 8);
}

TEST_CASE_TEMPLATE("FlatAggregator: frozen values are used as they were, until channels change", Case,
                   DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Space const exec;
  Workspace<Space> workspace(exec);
  Communicator const world;
  FlatAggregator<Space, T> aggregator(exec, world, {.channels = 9, .patch = 2, .width = 8, .heads = 2});
  randomize(aggregator);
  auto const image = random_tensor<T>(exec, 8, "image", {2, aggregator.own_channels().size(), 4, 6});
  auto const expected = filled_tensor<T>(exec, {2, 6, 8}, nan_value);
  auto const found = filled_tensor<T>(exec, {2, 6, 8}, nan_value);
  typename FlatAggregator<Space, T>::Context context, frozen;
  aggregator.forward(workspace, context, image, expected);
  aggregator.freeze(workspace, frozen, image);
  aggregator.forward(workspace, frozen, image, found);
  exec.fence();
  CHECK(relative_error(found, expected) < tolerance<T>(1e-5, 1e-12));

  aggregator.for_each_parameter([&](auto& parameter) {
    if (parameter.name() == "tree.level0.module0.v.weight") Kokkos::deep_copy(parameter.values(), nan_value);
  });
  Kokkos::deep_copy(found, nan_value);
  aggregator.forward(workspace, frozen, image, found);
  exec.fence();
  CHECK(relative_error(found, expected) < tolerance<T>(1e-5, 1e-12));

  std::vector<std::size_t> const list{7, 0, 4};
  auto const own = aggregator.own_channels();
  auto const planes = static_cast<std::size_t>(std::ranges::count_if(list, [&](auto c) { return own.contains(c); }));
  auto const fewer = random_tensor<T>(exec, 8, "image", {2, planes, 4, 6});
  Kokkos::deep_copy(found, T(0));
  aggregator.forward(workspace, frozen, Image{fewer, std::span(list)}, found);
  exec.fence();
  for (double const value : flat(found)) CHECK(math::is_nan(value));
}

TEST_CASE("FlatAggregator: more ranks than channels are refused on every rank") {
  using Space = Kokkos::DefaultHostExecutionSpace;
  Communicator const world;
  auto const sentence = sentence_of(
      [&] { FlatAggregator<Space, float>(Space(), world, {.channels = 1, .patch = 1, .width = 8, .heads = 2}); });
  CHECK(sentence == (world.size() == 1 ? ""
                                       : concat("FlatAggregator: ranks P = ", world.size(),
                                                ", expected at most the channels C = 1")));
  CHECK(sentence_of([&] {
          FlatAggregator<Space, float>(Space(), world, {.channels = 8, .patch = 1, .width = 8, .heads = 3});
        }) == "CrossAttention: 'tree.level0.module0' has width D = 8, expected a multiple of its heads h = 3");
}

} // namespace channels_flat_aggregator
