// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/channels/distributed_aggregator.hpp>

#include <support/distributed.hpp>

namespace channels_distributed_aggregator {

using namespace dchag;
using namespace dchag::test;
using comm::Communicator;

namespace {

/// What the definition gives: groups of the channels, a tree over each, a final module over the groups.
template <class Tree, class Final>
StepResult definition(DistributedAggregatorConfig const& config, Numbers const& weights,
                      reference::Array<4> const& image, Choice const& choice) {
  reference::Model model{config.width, config.heads, weights};
  bool const attention = std::same_as<Final, CrossAttention>;
  auto const pixels = choice.cut(image, config.patch);
  auto const present = choice.present(config.channels);
  auto const tokens = reference::tokenize(model, present, image, pixels);
  auto const groups = reference::cut(tokens, config.channels, config.groups);
  auto const name = [](reference::Part const& part) { return "group" + std::to_string(part.group); };
  auto const inputs = [&](reference::Part const& part) {
    return reference::group_sizes(config.channels, config.groups)[part.group];
  };
  reference::Tokens gathered{reference::Array<3>({groups.size(), tokens.x.extents[1], config.width}), {}};
  for (auto const& group : groups) {
    set_token(gathered.x, gathered.index.size(),
              tree_forward(model, name(group), levels_of<Tree>(), inputs(group), group.tokens));
    gathered.index.push_back(group.group);
  }
  auto const y = module_forward(model, "final", attention, gathered);

  reference::Array<2> d_y(y.extents);
  for (std::size_t i = 0; i < d_y.values.size(); ++i) d_y.values[i] = Random(1, "d_y").normal(i);
  for (auto const& [parameter, values] : weights) model.gradient(parameter);
  auto const d_gathered = module_backward(model, "final", attention, gathered, d_y);
  reference::Array<3> d_tokens(tokens.x.extents);
  for (std::size_t i = 0; i < groups.size(); ++i) {
    auto const d_group = tree_backward(model, name(groups[i]), levels_of<Tree>(), inputs(groups[i]), groups[i].tokens,
                                       token(d_gathered, i));
    for (std::size_t k = 0; k < d_group.extents[0]; ++k) set_token(d_tokens, groups[i].first + k, token(d_group, k));
  }
  return {y.values, tokenize_backward(model, present, image, pixels, d_tokens).values, model.gradients};
}

/// All ranks against one, and one against the definition.
template <class Tree, class Final, class Case>
void check(DistributedAggregatorConfig const& config, std::array<std::size_t, 4> const& extents,
           Choice const& choice = {}) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  using Aggregator = DistributedAggregator<Space, T, Tree, Final>;
  CAPTURE(config.channels);
  Space const exec;
  Communicator const world;
  auto const self = Communicator::self();
  Aggregator ranks(exec, world, config);
  Aggregator one(exec, self, config);
  CHECK(starts_as(ranks, one));
  check_equals_one(ranks, one, extents, choice);

  Workspace<Space> workspace(exec);
  auto const image = random_tensor<T>(exec, 9, "image", extents);
  auto const found = step_of(workspace, one, image, choice);
  auto const expected = definition<Tree, Final>(config, values_of(one), array_of(image), choice);
  CHECK(relative_error(found.y, expected.y) < tolerance<T>(1e-5, 1e-12));
  CHECK(relative_error(found.d_image, expected.d_image) < tolerance<T>(1e-5, 1e-12));
  CHECK(worst_error(found.d_weights, expected.d_weights) < tolerance<T>(1e-5, 1e-12));
}

template <class Tree, class Final, class Case>
void check() {
  DistributedAggregatorConfig const config{.channels = 37, .groups = 12, .patch = 2, .width = 8, .heads = 2};
  check<Tree, Final, Case>(config, {2, 37, 4, 6});
  check<Tree, Final, Case>({.channels = 12, .groups = 12, .patch = 1, .width = 12, .heads = 4, .projection_bias = true},
                           {1, 12, 3, 2});
  // channels, whole groups and, on four ranks, a whole rank are absent
  check<Tree, Final, Case>(config, {2, 5, 4, 6}, {.channels = {36, 3, 4, 0, 18}, .positions = {{5, 0}, {1, 4}}});
  check<Tree, Final, Case>(config, {1, 1, 2, 2}, {.channels = {20}});
}

} // namespace

TEST_CASE_TEMPLATE("DistributedAggregator: P ranks equal one, cross-attention throughout", Case, DCHAG_TEST_CASES) {
  check<Tree<CrossAttention>, CrossAttention, Case>();
}

TEST_CASE_TEMPLATE("DistributedAggregator: P ranks equal one, weighted sums throughout", Case, DCHAG_TEST_CASES) {
  check<Tree<Linear, 2>, Linear, Case>();
}

TEST_CASE_TEMPLATE("DistributedAggregator: P ranks equal one, weighted sums below a cross-attention", Case,
                   DCHAG_TEST_CASES) {
  check<Tree<Linear>, CrossAttention, Case>();
}

TEST_CASE_TEMPLATE("DistributedAggregator: P ranks equal one, shared modules below a weighted sum", Case,
                   DCHAG_TEST_CASES) {
  check<SharedTree<CrossAttention, 2>, Linear, Case>();
}

TEST_CASE_TEMPLATE("DistributedAggregator: forward is one AllGather of the documented bytes, backward is silent", Case,
                   DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Communicator const world;
  auto const P = static_cast<std::size_t>(world.size());
  support::CommCount const construction;
  DistributedAggregator<Space, T> aggregator(Space(), world,
                                             {.channels = 37, .groups = 12, .patch = 2, .width = 8, .heads = 2});
  CHECK(construction.calls("MPI_Allreduce") == (P == 1 ? 0 : 1));
  CHECK(construction.total_calls() == (P == 1 ? 0 : 1));
  CHECK(construction.total_bytes_sent() == (P == 1 ? 0 : 16));
  std::size_t const B = 2, positions = 6;
  auto const traffic = traffic_of(aggregator, positions, {B, aggregator.own_channels().size(), 4, 6});
  CHECK(traffic.gathers == (P == 1 ? 0 : 1));
  CHECK(traffic.calls_forward == traffic.gathers);
  CHECK(traffic.bytes_gathered == (P == 1 ? 0 : 12 / P * B * positions * 8 * sizeof(T)));
  CHECK(traffic.calls_backward == 0);
}

TEST_CASE("DistributedAggregator: takes groups that the ranks divide, says so otherwise on every rank") {
  using Space = Kokkos::DefaultHostExecutionSpace;
  using Aggregator = DistributedAggregator<Space, float>;
  Communicator const world;
  auto const P = static_cast<std::size_t>(world.size());
  auto const make = [&](DistributedAggregatorConfig const& config) {
    auto const sentence = sentence_of([&] { Aggregator(Space(), world, config); });
    CHECK(ranks_where(world, !sentence.empty()) % world.size() == 0); // on all ranks or on none
    return sentence;
  };
  CHECK(make({.channels = 8, .groups = 9, .patch = 1, .width = 8, .heads = 2}) ==
        "Partition: groups G = 9, expected 1 to the channels C = 8");
  CHECK(make({.channels = 0, .groups = 1, .patch = 1, .width = 8, .heads = 2}) == "Partition: there are no channels");
  CHECK(make({.channels = 12, .groups = 12, .patch = 0, .width = 8, .heads = 2}) ==
        "Tokenizer: channels C = 12, patch edge p = 0, width D = 8, expected at least 1 each");
  CHECK(make({.channels = 12, .groups = 12, .patch = 1, .width = 8, .heads = 3}) ==
        "CrossAttention: 'final' has width D = 8, expected a multiple of its heads h = 3");
  CHECK(make({.channels = 8, .groups = P + 1, .patch = 1, .width = 8, .heads = 2}) ==
        (P == 1 ? "" : concat("Partition: ranks P = ", P, " do not divide the groups G = ", P + 1)));
}

TEST_CASE("DistributedAggregator: a configuration that differs on one rank is refused on all, with one sentence") {
  using Space = Kokkos::DefaultHostExecutionSpace;
  Communicator const world;
  int const last = world.size() - 1;
  DistributedAggregatorConfig const common{.channels = 12, .groups = 12, .patch = 2, .width = 8, .heads = 2, .seed = 5};
  auto const make = [&](auto const& change) {
    auto config = common;
    if (world.rank() == last) change(config);
    return sentence_of([&] { DistributedAggregator<Space, float>(Space(), world, config); });
  };
  auto const expected = [&](char const* what) {
    return last == 0 ? "" : concat("DistributedAggregator: ", what, " on rank ", last);
  };
  CHECK(make([](auto& config) { config.width = 16; }) == expected("width is 8 on rank 0 but 16"));
  CHECK(make([](auto& config) { config.channels = 13; }) == expected("channels is 12 on rank 0 but 13"));
  CHECK(make([](auto& config) { config.seed = 6; }) == expected("seed is 5 on rank 0 but 6"));
  CHECK(make([](auto& config) { config.projection_bias = true; }) ==
        expected("projection_bias is false on rank 0 but true"));
}

TEST_CASE("DistributedAggregator::check: what does not fit on one rank is refused on all") {
  using Space = Kokkos::DefaultHostExecutionSpace;
  using Aggregator = DistributedAggregator<Space, float>;
  Communicator const world;
  int const last = world.size() - 1;
  bool const odd = world.rank() == last && last > 0; // the rank that differs
  Aggregator const aggregator(Space(), world, {.channels = 12, .groups = 12, .patch = 2, .width = 8, .heads = 2});
  std::size_t const own = aggregator.own_channels().size();
  Aggregator::Context context;
  auto const check = [&](auto const& image) { return sentence_of([&] { aggregator.check(Space(), context, image); }); };
  using Pixels = Tensor<Space, float, 4>;
  auto const positions_of = [](std::size_t first, std::size_t kept = 2) { // of each of two samples
    Tensor<Space, std::size_t, 2> const list("positions", 2, kept);
    for (std::size_t b = 0; b < 2; ++b)
      for (std::size_t i = 0; i < kept; ++i) list(b, i) = first + 2 * i;
    return list;
  };
  support::CommCount const count;
  auto const good = check(Pixels("image", 2, own, 4, 6));
  CHECK(good == "");
  CHECK(count.total_calls() == (last == 0 ? 0 : 2));
  CHECK(count.total_bytes_sent() <= 2 * 16);

  auto const uneven = check(Pixels("image", 2, own, odd ? 5 : 4, 6));
  auto const planes = check(Pixels("image", 2, odd ? own + 1 : own, 4, 6));
  auto const samples = check(Pixels("image", odd ? 3 : 2, own, 4, 6));
  auto const width = check(Pixels("image", 2, own, 4, odd ? 4 : 6));
  auto const turned = check(Pixels("image", 2, own, odd ? 6 : 4, odd ? 4 : 6)); // as many positions
  Image<Pixels>::Positions const left = positions_of(0), right = positions_of(1), one = positions_of(0, 1);
  auto const masks = check(Image{Pixels("image", 2, own, 4, 6), {}, odd ? right : left});
  auto const kept = check(Image{Pixels("image", 2, own, 4, 6), {}, odd ? one : left});
  std::size_t const list[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  std::size_t const other[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 9, 11};
  auto const lists = check(Image{Pixels("image", 2, own, 4, 6), std::span(odd ? other : list)});
  auto const again = check(Pixels("image", 2, own, 4, 6));
  CHECK(again == "");
  if (last == 0) return;
  auto const own_words = [&](std::string const& sentence) {
    return (odd ? "" : concat("rank ", last, " of ", last + 1, ": ")) + sentence;
  };
  CHECK(uneven == own_words("Tokenizer::forward: image of 2 x 5 x 6 (B x H x W), expected at least one sample and "
                            "multiples of the patch edge p = 2"));
  CHECK(planes == own_words(concat("DistributedAggregator::forward: image has C = ", 12 / (last + 1) + 1,
                                   ", expected C = ", 12 / (last + 1), " (12 of the channels 12 over P = ", last + 1,
                                   " ranks)")));
  CHECK(samples == concat("DistributedAggregator: samples B is 2 on rank 0 but 3 on rank ", last));
  CHECK(width == concat("DistributedAggregator: width W is 6 on rank 0 but 4 on rank ", last));
  CHECK(turned == concat("DistributedAggregator: height H is 4 on rank 0 but 6 on rank ", last));
  CHECK(masks.rfind("DistributedAggregator: the hash of the positions is ", 0) == 0);
  CHECK(kept == concat("DistributedAggregator: positions is 2 on rank 0 but 1 on rank ", last));
  CHECK(lists == concat("DistributedAggregator: the list of channels is 0 1 2 3 4 5 6 7 8 9 10 11 on rank 0 but "
                        "0 1 2 3 4 5 6 7 8 10 9 11 on rank ",
                        last));
}

} // namespace channels_distributed_aggregator
