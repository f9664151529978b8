// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/channels/distributed_tokenization.hpp>

#include <support/distributed.hpp>

namespace channels_distributed_tokenization {

using namespace dchag;
using namespace dchag::test;
using comm::Communicator;

namespace {

template <class Tree, class Case, class Form>
void check(AggregatorConfig const& config, std::array<std::size_t, 4> const& extents, Choice const& choice = {}) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  CAPTURE(config.channels);
  Space const exec;
  Communicator const world;
  DistributedTokenization<Space, T, Tree, Form> ranks(exec, world, config);
  ChannelAggregator<Space, T, Tree> one(exec, config);
  CHECK(starts_as(ranks, one));
  check_equals_one(ranks, one, extents, choice);
}

template <class Tree, class Case, class Form>
void check() {
  AggregatorConfig const config{.channels = 13, .patch = 2, .width = 8, .heads = 2};
  check<Tree, Case, Form>(config, {2, 13, 4, 6});
  check<Tree, Case, Form>({.channels = 4, .patch = 1, .width = 12, .heads = 4, .projection_bias = true}, {1, 4, 3, 2});
  // on three and four ranks some have no channel of these
  check<Tree, Case, Form>(config, {2, 3, 4, 6}, {.channels = {12, 0, 2}, .positions = {{5, 0}, {1, 4}}});
  check<Tree, Case, Form>(config, {1, 1, 2, 2}, {.channels = {7}});
}

} // namespace

TEST_CASE_TEMPLATE("DistributedTokenization: P ranks equal the ChannelAggregator of the same tree", Case,
                   DCHAG_TEST_CASES) {
  check<Tree<CrossAttention>, Case, Materialized>();
  check<Tree<CrossAttention>, Case, Fused>();
  check<Tree<Linear, 4>, Case, Fused>();
}

TEST_CASE_TEMPLATE("DistributedTokenization: forward is one AllGather of the documented bytes, backward is silent",
                   Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Communicator const world;
  auto const P = static_cast<std::size_t>(world.size());
  support::CommCount const construction;
  DistributedTokenization<Space, T> aggregator(Space(), world, {.channels = 13, .patch = 2, .width = 8, .heads = 2});
  CHECK(construction.total_calls() == (P == 1 ? 0 : 1));
  CHECK(construction.total_bytes_sent() == (P == 1 ? 0 : 16));
  std::size_t const B = 2, positions = 6;
  auto const traffic = traffic_of(aggregator, positions, {B, aggregator.own_channels().size(), 4, 6});
  CHECK(traffic.gathers == (P == 1 ? 0 : 1));
  CHECK(traffic.calls_forward == traffic.gathers);
  CHECK(traffic.bytes_gathered == (P == 1 ? 0 : (13 + P - 1) / P * B * positions * 8 * sizeof(T)));
  CHECK(traffic.calls_backward == 0);
}

TEST_CASE("DistributedTokenization: refuses together what does not fit") {
  using Space = Kokkos::DefaultHostExecutionSpace;
  Communicator const world;
  auto const P = static_cast<std::size_t>(world.size());
  AggregatorConfig config{.channels = P - 1, .patch = 2, .width = 8, .heads = 2};
  auto const make = [&] { return sentence_of([&] { DistributedTokenization<Space, float>(Space(), world, config); }); };
  CHECK(make() == concat("DistributedTokenization: ranks P = ", P, ", expected at most the channels C = ", P - 1));
  config.channels = 8;
  config.heads = 3;
  CHECK(make() == "CrossAttention: 'tree.level0.module0' has width D = 8, expected a multiple of its heads h = 3");
  config.heads = 2;
  if (world.rank() + 1 == world.size()) config.patch = 4;
  CHECK(make() == (P == 1 ? "" : concat("DistributedTokenization: patch is 2 on rank 0 but 4 on rank ", P - 1)));
}

} // namespace channels_distributed_tokenization
