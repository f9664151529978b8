// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/channels/image.hpp>

#include <support/compare.hpp>
#include <support/spaces.hpp>

namespace channels_image {

using namespace dchag;
using namespace dchag::test;
using Space = Kokkos::DefaultExecutionSpace;
using List = std::vector<std::size_t>;

namespace {

List list_of(TokenPlan<Space>::Index const& device) {
  auto const host = to_host(device);
  return {host.data(), host.data() + host.size()};
}

/// token, channel, count of each run.
std::vector<List> runs_of(TokenPlan<Space> const& plan) {
  std::vector<List> runs;
  for (auto const& run : plan.runs()) runs.push_back({run.token, run.channel, run.count});
  return runs;
}

} // namespace

TEST_CASE("TokenPlan: an empty list stands for all channels") {
  TokenPlan<Space> plan;
  CHECK(plan.update(Space(), {}, 7, {2, 5}));
  CHECK(plan.tokens() == 3);
  CHECK(plan.own() == List{0, 1, 2});
  CHECK(plan.present() == List{0, 1, 2, 3, 4, 5, 6});
  CHECK(list_of(plan.device_planes()) == List{0, 1, 2});
  CHECK(list_of(plan.device_channels()) == List{0, 1, 2});
  CHECK(runs_of(plan) == std::vector<List>{{0, 0, 3}});
}

TEST_CASE("TokenPlan: tokens are in the model's order, whatever the order of the planes") {
  TokenPlan<Space> plan;
  List const channels{6, 4, 0, 2, 3};
  plan.update(Space(), channels, 7, {0, 7});
  CHECK(plan.own() == List{0, 2, 3, 4, 6});
  CHECK(plan.present() == List{0, 2, 3, 4, 6});
  CHECK(list_of(plan.device_planes()) == List{2, 3, 4, 1, 0});
  CHECK(runs_of(plan) == std::vector<List>{{0, 0, 1}, {1, 2, 3}, {4, 6, 1}});
}

TEST_CASE("TokenPlan: a rank's planes are those of the list that it owns") {
  TokenPlan<Space> plan;
  List const channels{6, 4, 0, 2, 3};
  plan.update(Space(), channels, 7, {2, 5});
  CHECK(plan.own() == List{0, 1, 2}); // channels 2, 3, 4, brought as 4, 2, 3
  CHECK(list_of(plan.device_planes()) == List{1, 2, 0});
  CHECK(plan.present() == List{0, 2, 3, 4, 6});

  TokenPlan<Space> none;
  none.update(Space(), channels, 7, {5, 6});
  CHECK(none.tokens() == 0);
  CHECK(none.runs().empty());
  CHECK(list_of(none.device_planes()).empty());
}

TEST_CASE("TokenPlan: is made again when the list changes, and only then") {
  TokenPlan<Space> plan;
  List channels{1, 2};
  CHECK(plan.update(Space(), channels, 4, {0, 4}));
  CHECK(!plan.update(Space(), channels, 4, {0, 4}));
  channels = {2, 1};
  CHECK(plan.update(Space(), channels, 4, {0, 4}));
  CHECK(plan.update(Space(), {}, 4, {0, 4}));
  CHECK(!plan.update(Space(), {}, 4, {0, 4}));
  CHECK(plan.tokens() == 4);
}

TEST_CASE("TokenPlan: a list that is refused leaves the plan as it was") {
  TokenPlan<Space> plan;
  List const good{3, 1};
  List const unknown{1, 4};
  List const twice{1, 1};
  plan.update(Space(), good, 4, {0, 4});
  CHECK_THROWS_WITH_AS(plan.update(Space(), unknown, 4, {0, 4}),
                       "Image: plane 1 is channel 4, expected less than C = 4", ShapeError);
  CHECK_THROWS_AS(plan.update(Space(), twice, 4, {0, 4}), ShapeError);
  CHECK(plan.own() == List{1, 3});
  CHECK(!plan.update(Space(), good, 4, {0, 4}));
}

} // namespace channels_image
