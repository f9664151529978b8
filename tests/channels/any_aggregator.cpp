// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/channels/any_aggregator.hpp>
#include <dchag/channels/flat_aggregator.hpp>

#include <support/distributed.hpp>

namespace channels_any_aggregator {

using namespace dchag;
using namespace dchag::test;

namespace {

using Space = Kokkos::DefaultExecutionSpace;
using T = float;
using Any = AnyAggregator<Space, T>;
using Flat = FlatAggregator<Space, T>;

AggregatorConfig const config{.channels = 9, .patch = 2, .width = 8, .heads = 2, .seed = 6};

/// A step of an aggregator on every other column of a wider image.
template <class Aggregator>
StepResult strided_step(Aggregator& aggregator, typename Aggregator::Context& context, Choice const& choice = {}) {
  Space const exec;
  Workspace<Space> workspace(exec);
  std::size_t const planes = own_planes(aggregator.own_channels(), config.channels, choice).size();
  auto const wide = random_tensor<T>(exec, 8, "image", {2, planes, 4, 12});
  Kokkos::LayoutStride const strides(2, wide.stride(0), planes, wide.stride(1), 4, wide.stride(2), 6, 2);
  Kokkos::View<T****, Kokkos::LayoutStride, Space::memory_space> const pixels(wide.data(), strides);
  auto const image = choice.image(exec, pixels);
  aggregator.check(exec, context, image);
  return step_of(workspace, aggregator, context, image, choice.kept(6), no_gradient);
}

void check_same(StepResult const& found, StepResult const& expected) {
  CHECK(found.y == expected.y);
  CHECK(found.d_weights == expected.d_weights);
}

} // namespace

TEST_CASE("any aggregator computes what the one in it does, bit for bit") {
  comm::Communicator const world;
  Flat flat(Space(), world, config);
  Any any(Flat(Space(), world, config));
  randomize(flat);
  randomize(any);
  CHECK(any.own_channels() == flat.own_channels());
  CHECK(any.config().channels == config.channels);
  CHECK(any.config().patch == config.patch);
  CHECK(any.config().width == config.width);
  CHECK(any.config().seed == config.seed);
  Flat::Context context;
  Any::Context any_context;
  for (Choice const& choice : {Choice{}, Choice{.channels = {7, 0, 4, 8}, .positions = {{1, 4}, {0, 5}}}})
    check_same(strided_step(any, any_context, choice), strided_step(flat, context, choice));
}

TEST_CASE("a context that served one aggregator serves another") {
  comm::Communicator const world;
  Any first(Flat(Space(), world, config));
  Any second(ChannelAggregator<Space, T>(Space(), config));
  Any::Context context;
  strided_step(first, context);
  Any moved(std::move(first));
  randomize(moved);
  randomize(second);
  Any::Context fresh;
  check_same(strided_step(second, context), strided_step(second, fresh));
  check_same(strided_step(moved, context), strided_step(moved, fresh));
}

TEST_CASE("a context outlives its aggregator, whatever is made in the place of that") {
  comm::Communicator const world;
  Any::Context context;
  for (int i = 0; i < 4; ++i) { // one is made where the last one was
    auto any = i % 2 == 0 ? Any(Flat(Space(), world, config)) : Any(ChannelAggregator<Space, T>(Space(), config));
    Any::Context fresh;
    randomize(any);
    check_same(strided_step(any, context), strided_step(any, fresh));
  }
  Any const other(Flat(Space(), world, config));
  auto const image = random_tensor<T>(Space(), 8, "image", {2, other.own_channels().size(), 4, 6});
  auto const d_y = filled_tensor<T>(Space(), {2, 6, config.width}, 0);
  Workspace<Space> workspace;
  CHECK_THROWS_WITH_AS(other.backward(workspace, context, image, d_y, no_gradient),
                       "AnyAggregator::backward: the context is another's, expected the one that forward was given",
                       Error);
}

TEST_CASE("any aggregator refuses what the one in it refuses") {
  comm::Communicator const world;
  Any const any(Flat(Space(), world, config));
  Any::Context context;
  auto const image = random_tensor<T>(Space(), 8, "image", {2, any.own_channels().size() + 1, 4, 6});
  Flat const flat(Space(), world, config);
  Flat::Context flat_context;
  auto const sentence = sentence_of([&] { flat.check(Space(), flat_context, image); });
  CHECK(!sentence.empty());
  CHECK(sentence_of([&] { any.check(Space(), context, image); }) == sentence);
}

} // namespace channels_any_aggregator
