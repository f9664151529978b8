// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/comm/mesh.hpp>

#include <doctest/doctest.h>

#include <vector>

namespace comm_mesh {

namespace {
using namespace dchag::comm;
using dchag::CommError;

std::vector<MeshShape> shapes(int ranks) {
  std::vector<MeshShape> all;
  for (int tensor = 1; tensor <= ranks; ++tensor)
    for (int shard = 1; tensor * shard <= ranks; ++shard)
      if (ranks % (tensor * shard) == 0) all.push_back({tensor, shard, ranks / (tensor * shard)});
  return all;
}

// the world ranks of a group, in its order
std::vector<int> members(Communicator const& world, Communicator const& group) {
  std::vector<int> ranks(static_cast<std::size_t>(group.size()), 0);
  ranks[static_cast<std::size_t>(group.rank())] = world.rank();
  return all_reduce(group, ranks, Reduce::sum);
}

TEST_CASE("every factoring has its groups in the documented order") {
  Communicator const world;
  for (auto const order : {MeshOrder::as_given, MeshOrder::by_node})
    for (auto const& shape : shapes(world.size())) {
      CAPTURE(shape.tensor);
      CAPTURE(shape.shard);
      Mesh const mesh(world, shape, order);
      int const rank = world.rank(); // one node here, so both orders are the same
      CHECK(mesh.world().rank() == rank);
      CHECK((mesh.data_index() * shape.shard + mesh.shard_index()) * shape.tensor + mesh.tensor_index() == rank);
      CHECK(mesh.tensor().size() == shape.tensor);
      CHECK(mesh.shard().size() == shape.shard);
      CHECK(mesh.data().size() == shape.data);
      CHECK(mesh.replicas().size() == shape.shard * shape.data);
      CHECK(mesh.tensor().rank() == mesh.tensor_index());
      CHECK(mesh.shard().rank() == mesh.shard_index());
      CHECK(mesh.data().rank() == mesh.data_index());
      CHECK(mesh.replicas().rank() == mesh.data_index() * shape.shard + mesh.shard_index());
      std::vector<int> tensor, shard, data;
      int const first = rank - mesh.tensor_index();
      for (int i = 0; i < shape.tensor; ++i) tensor.push_back(first + i);
      for (int i = 0; i < shape.shard; ++i) shard.push_back(rank + (i - mesh.shard_index()) * shape.tensor);
      for (int i = 0; i < shape.data; ++i) data.push_back(rank + (i - mesh.data_index()) * shape.tensor * shape.shard);
      CHECK(members(world, mesh.tensor()) == tensor);
      CHECK(members(world, mesh.shard()) == shard);
      CHECK(members(world, mesh.data()) == data);
      std::vector<int> holders; // the tensor groups of all copies of this rank's shard
      for (int copy = 0; copy < shape.data; ++copy)
        for (int i = 0; i < shape.tensor; ++i)
          holders.push_back((copy * shape.shard + mesh.shard_index()) * shape.tensor + i);
      CHECK(members(world, mesh.holders()) == holders);
    }
}

TEST_CASE("a mesh that does not fill the ranks, or differs between them, is refused on all") {
  Communicator const world;
  CHECK_THROWS_AS(Mesh(world, {world.size() + 1, 1, 1}), CommError);
  CHECK_THROWS_AS(Mesh(world, {0, 1, world.size()}), CommError);
  CHECK_THROWS_AS(Mesh(world, {1 << 30, 1 << 30, 16}), CommError);
  if (world.size() > 1) {
    bool const first = world.rank() == 0;
    CHECK_THROWS_AS(Mesh(world, {first ? world.size() : 1, first ? 1 : world.size(), 1}), CommError);
  }
}
} // namespace

} // namespace comm_mesh
