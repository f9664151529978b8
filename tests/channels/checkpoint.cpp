// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/channels/distributed_aggregator.hpp>
#include <dchag/train/checkpoint.hpp>

#include <support/distributed.hpp>
#include <support/temporary_folder.hpp>

namespace channels_checkpoint {

using namespace dchag;
using namespace dchag::test;
using comm::Communicator;

// Each rank has the tokenizer of its channels and the trees of its groups, and all have the final module.
TEST_CASE_TEMPLATE("an aggregation over ranks goes through a file to any other number of them", Case,
                   DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  using Model = DistributedAggregator<Space, T, Tree<Linear, 2>>;
  Space const exec;
  Communicator const world;
  auto const self = Communicator::self();
  TemporaryFolder const folder(world);
  DistributedAggregatorConfig const config{.channels = 19, .groups = 4, .patch = 2, .width = 8, .heads = 2};
  Model ranks(exec, world, config), one(exec, self, config);
  randomize(ranks);
  randomize(one);
  auto const own = folder / concat("one", world.rank(), ".safetensors");
  save_checkpoint(world, folder / "ranks.safetensors", ranks);
  save_checkpoint(self, own, one);
  CHECK(bytes_of(folder / "ranks.safetensors") == bytes_of(own));

  auto const expected = values_of(one);
  Model other_ranks(exec, world, config), other_one(exec, self, config);
  load_checkpoint(world, folder / "ranks.safetensors", other_ranks);
  load_checkpoint(self, folder / "ranks.safetensors", other_one);
  CHECK(values_of(other_ranks) == part_of(expected, other_ranks));
  CHECK(values_of(other_one) == expected);
}

} // namespace channels_checkpoint
