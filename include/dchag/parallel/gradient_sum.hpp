// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/comm/mesh.hpp>

namespace dchag::parallel {

/// The sum over all ranks that hold parts of one copy of a model, for `gradient_norm` and `clip_gradients`: replicated
/// parameters once, of distributed ones what each tensor-parallel rank holds, of sharded ones all shards.
///
/// Collective: all ranks of the mesh; one all-reduce of one double over `mesh.shard()`, if parameters are sharded, and
/// one over `mesh.tensor()`. The same number on all ranks, bit for bit.
class GradientSum {
public:
  GradientSum(comm::Mesh const& mesh, bool sharded) : m_mesh(&mesh), m_sharded(sharded) {}

  double operator()(double replicated, double distributed) const {
    double sum = distributed + (m_mesh->tensor_index() == 0 ? replicated : 0);
    if (m_sharded) sum = comm::all_reduce(m_mesh->shard(), sum, comm::Reduce::sum);
    return comm::all_reduce(m_mesh->tensor(), sum, comm::Reduce::sum);
  }

private:
  comm::Mesh const* m_mesh;
  bool m_sharded;
};

} // namespace dchag::parallel
