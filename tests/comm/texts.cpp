// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/comm/texts.hpp>

#include <doctest/doctest.h>

namespace comm_texts {

using dchag::comm::Communicator;

namespace {
std::string text_of(int rank) {
  return std::string(static_cast<std::size_t>(7 * rank % 5), static_cast<char>('a' + rank)) + std::to_string(rank);
}
} // namespace

TEST_CASE("gather_texts: all texts in rank order at the root, in any number of rounds") {
  Communicator const world;
  for (std::size_t const limit : {1u, 3u, 8u, 1000000u})
    for (int root = 0; root < world.size(); ++root) {
      auto const texts = dchag::comm::gather_texts(world, text_of(world.rank()), root, limit);
      REQUIRE(texts.size() == static_cast<std::size_t>(world.size()));
      bool right = true;
      for (int rank = 0; rank < world.size(); ++rank)
        right = right && texts[static_cast<std::size_t>(rank)] == (world.rank() == root ? text_of(rank) : "");
      CHECK(right);
    }
  auto const nothing = dchag::comm::gather_texts(world, "", 0);
  CHECK(nothing == std::vector<std::string>(static_cast<std::size_t>(world.size())));
}

TEST_CASE("broadcast_text: the root's text on every rank") {
  Communicator const world;
  for (int root = 0; root < world.size(); ++root)
    CHECK(dchag::comm::broadcast_text(world, text_of(world.rank()), root) == text_of(root));
}

} // namespace comm_texts
