// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/comm/agree.hpp>

namespace dchag::comm {

/// How many ranks share what: `tensor` ranks one model's activations, `shard` such groups one copy of the parameters,
/// `data` copies the samples. P = tensor * shard * data.
struct MeshShape {
  int tensor = 1;
  int shard = 1;
  int data = 1;

  long long ranks() const { return static_cast<long long>(tensor) * shard * data; }
  friend bool operator==(MeshShape const&, MeshShape const&) = default;
};

/// Where a mesh looks for ranks that are near each other.
enum class MeshOrder {
  as_given, ///< consecutive ranks
  by_node   ///< ranks of one node first: the ranks that share a model (tensor * shard) then stay within a node
};

/// The ranks of a run as a mesh: tensor-parallel ranks are consecutive, then shards, then copies.
///
///     rank = (data_index * shard + shard_index) * tensor + tensor_index
///
/// Samples differ between the ranks of `replicas()`, the shards and copies of one tensor index: with sharded
/// parameters every shard works on samples of its own. It keeps six communicators.
/// Source: the order of Megatron-LM, in which the groups that communicate most are the nearest.
class Mesh {
public:
  /// Collective over `world`.
  /// Throws: CommError, the same on every rank, unless every axis is at least 1, their product is the number of ranks,
  /// all ranks say the same and, by node, every node's ranks hold whole models.
  Mesh(Communicator const& world, MeshShape shape, MeshOrder order = MeshOrder::as_given)
      : m_shape(agreed(world, shape, order)), m_world(ordered(world, order)),
        m_tensor(m_world.split(m_world.rank() / shape.tensor, m_world.rank())),
        m_shard(m_world.split(data_index() * shape.tensor + tensor_index(), m_world.rank())),
        m_data(m_world.split(m_world.rank() % (shape.tensor * shape.shard), m_world.rank())),
        m_replicas(m_world.split(tensor_index(), m_world.rank())),
        m_holders(m_world.split(shard_index(), m_world.rank())) {}

  MeshShape const& shape() const { return m_shape; }

  Communicator const& world() const { return m_world; }       ///< all ranks, in the mesh's order
  Communicator const& tensor() const { return m_tensor; }     ///< the ranks that share this rank's samples
  Communicator const& shard() const { return m_shard; }       ///< the ranks that share the values of this rank's part
  Communicator const& data() const { return m_data; }         ///< the ranks that hold copies of this rank's values
  Communicator const& replicas() const { return m_replicas; } ///< shards and copies together
  Communicator const& holders() const { return m_holders; }   ///< `tensor` and `data`: who holds its replicated values

  int tensor_index() const { return m_world.rank() % m_shape.tensor; }
  int shard_index() const { return m_world.rank() / m_shape.tensor % m_shape.shard; }
  int data_index() const { return m_world.rank() / (m_shape.tensor * m_shape.shard); }

private:
  static MeshShape agreed(Communicator const& world, MeshShape shape, MeshOrder order) {
    require_same(
        world, "Mesh",
        {{"tensor", shape.tensor}, {"shard", shape.shard}, {"data", shape.data}, {"order", static_cast<int>(order)}});
    require_together<CommError>(world,
                                shape.tensor > 0 && shape.shard > 0 && shape.data > 0 && shape.ranks() == world.size(),
                                "Mesh: tensor x shard x data is ", shape.tensor, " x ", shape.shard, " x ", shape.data,
                                ", expected a product of P = ", world.size(), " ranks");
    if (order == MeshOrder::by_node) {
      auto const node = world.split_by_node();
      int const model = shape.tensor * shape.shard;
      bool const whole = node.size() % model == 0;
      int const worst = all_reduce(world, whole ? 0 : node.size(), Reduce::max);
      require_together<CommError>(world, worst == 0, "Mesh: a node has ", worst,
                                  " ranks, expected a multiple of tensor x shard = ", model,
                                  " so that no model spans two nodes");
    }
    return shape;
  }

  // The ranks of the node with the lowest rank first.
  static Communicator ordered(Communicator const& world, MeshOrder order) {
    if (order == MeshOrder::as_given) return world.split(0, world.rank());
    auto const node = world.split_by_node();
    int const first = all_reduce(node, world.rank(), Reduce::min);
    // ranks of equal key keep their order
    return world.split(0, first);
  }

  MeshShape m_shape;
  Communicator m_world, m_tensor, m_shard, m_data, m_replicas, m_holders;
};

} // namespace dchag::comm
