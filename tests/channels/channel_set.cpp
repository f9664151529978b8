// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/channels/channel_set.hpp>

#include "support/sentence.hpp"

#include <doctest/doctest.h>

namespace channels_channel_set {

using namespace dchag;
using namespace dchag::test;
using Names = std::vector<std::string>;
using List = std::vector<std::size_t>;

TEST_CASE("ChannelSet: knows names and order") {
  ChannelSet const set({"t2m", "u10", "z500"});
  CHECK(set.size() == 3);
  CHECK(set.name(0) == "t2m");
  CHECK(set.name(2) == "z500");
  CHECK_THROWS(set.name(3));
  CHECK(ChannelSet::numbered(12).name(11) == "11");
}

TEST_CASE("ChannelSet::select: gives the model's channels in the order of the image") {
  ChannelSet const set({"t2m", "u10", "z500"});
  CHECK(set.select(Names{"z500", "t2m"}) == List{2, 0});
  CHECK(set.select(Names{"t2m", "u10", "z500"}) == List{0, 1, 2});
  CHECK(set.select(Names{}).empty());
}

TEST_CASE("ChannelSet: says what is wrong with names") {
  ChannelSet const set({"t2m", "u10", "z500"});
  CHECK(sentence_of<ShapeError>([] { ChannelSet({}); }) == "ChannelSet: there are no channels");
  CHECK(sentence_of<ShapeError>([] { ChannelSet::numbered(0); }) == "ChannelSet: there are no channels");
  CHECK(sentence_of<ShapeError>([] {
          ChannelSet({"a", "b", "a"});
        }) == "ChannelSet: channels 0 and 2 are both called 'a'");
  CHECK(sentence_of<ShapeError>([&] {
          set.select(Names{"u10", "v10"});
        }) == "ChannelSet::select: the model's 3 channels have none called 'v10'");
  CHECK(sentence_of<ShapeError>([&] {
          set.select(Names{"u10", "t2m", "u10"});
        }) == "ChannelSet::select: channel 'u10' comes twice");
}

TEST_CASE("require_channels: takes a list of different channels of the model, in any order") {
  auto const sentence = [](List const& list) {
    return sentence_of<ShapeError>([&] { require_channels("Image", list, 4); });
  };
  CHECK(sentence({3, 0, 2}) == "");
  CHECK(sentence({}) == "Image: the image has none of the model's 4 channels");
  CHECK(sentence({3, 4}) == "Image: plane 1 is channel 4, expected less than C = 4");
  CHECK(sentence({3, 1, 3}) == "Image: channel 3 comes twice, the second time as plane 2");
}

} // namespace channels_channel_set
