// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/channels/partition.hpp>

#include "support/sentence.hpp"

#include <doctest/doctest.h>

#include <algorithm>

namespace channels_partition {

using namespace dchag;

namespace {

/// Whether these are all of [0, count), in order, without gap or overlap, and none is empty.
template <class F>
bool covers(std::size_t count, std::size_t parts, F const& part) {
  std::size_t next = 0;
  for (std::size_t i = 0; i < parts; ++i) {
    Range const range = part(i);
    if (range.begin != next || range.end <= range.begin) return false;
    next = range.end;
  }
  return next == count;
}

std::string refusal(std::size_t channels, std::size_t groups, std::size_t ranks) {
  return test::sentence_of<ShapeError>([&] { Partition(channels, groups, ranks); });
}

} // namespace

TEST_CASE("Partition: groups and ranks are contiguous, disjoint, complete and as equal as possible") {
  for (std::size_t C = 1; C <= 40; ++C) {
    for (std::size_t G = 1; G <= C; ++G) {
      std::size_t smallest = C;
      std::size_t largest = 0;
      for (std::size_t g = 0; g < G; ++g) {
        std::size_t const size = Partition(C, G, 1).group(g).size();
        smallest = std::min(smallest, size);
        largest = std::max(largest, size);
      }
      CHECK(largest - smallest <= 1);
      for (std::size_t P = 1; P <= G; ++P) {
        if (G % P != 0) continue;
        Partition const partition(C, G, P);
        CHECK(covers(C, G, [&](std::size_t g) { return partition.group(g); }));
        CHECK(covers(G, P, [&](std::size_t r) { return partition.groups_of(r); }));
        CHECK(covers(C, P, [&](std::size_t r) { return partition.channels_of(r); }));
        for (std::size_t r = 0; r < P; ++r) {
          Range const groups = partition.groups_of(r);
          CHECK(groups.size() == G / P);
          CHECK(partition.channels_of(r).begin == partition.group(groups.begin).begin);
          CHECK(partition.channels_of(r).end == partition.group(groups.end - 1).end);
        }
      }
    }
  }
}

TEST_CASE("Partition: the groups do not depend on the ranks") {
  for (std::size_t g = 0; g < 12; ++g) CHECK(Partition(37, 12, 1).group(g) == Partition(37, 12, 4).group(g));
}

TEST_CASE("Partition: the example of its documentation") {
  Partition const partition(10, 4, 2);
  CHECK(partition.groups_per_rank() == 2);
  CHECK(partition.group(0) == Range{0, 3});
  CHECK(partition.group(1) == Range{3, 6});
  CHECK(partition.group(2) == Range{6, 8});
  CHECK(partition.group(3) == Range{8, 10});
  CHECK(partition.channels_of(0) == Range{0, 6});
  CHECK(partition.channels_of(1) == Range{6, 10});
}

TEST_CASE("even_part: may be empty where there are more parts than things") {
  CHECK(even_part(2, 3, 0) == Range{0, 1});
  CHECK(even_part(2, 3, 2) == Range{2, 2});
  CHECK(even_part(0, 1, 0) == Range{0, 0});
}

TEST_CASE("Range: contains its begin and not its end") {
  Range const range{2, 4};
  CHECK(range.size() == 2);
  CHECK(!range.contains(1));
  CHECK(range.contains(2));
  CHECK(range.contains(3));
  CHECK(!range.contains(4));
}

TEST_CASE("Partition: says what cannot be cut") {
  CHECK(refusal(0, 1, 1) == "Partition: there are no channels");
  CHECK(refusal(5, 6, 1) == "Partition: groups G = 6, expected 1 to the channels C = 5");
  CHECK(refusal(5, 0, 1) == "Partition: groups G = 0, expected 1 to the channels C = 5");
  CHECK(refusal(8, 4, 3) == "Partition: ranks P = 3 do not divide the groups G = 4");
  CHECK(refusal(8, 4, 8) == "Partition: ranks P = 8 do not divide the groups G = 4");
  CHECK(refusal(8, 4, 0) != "");
}

} // namespace channels_partition
