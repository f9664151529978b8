// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/comm/mesh.hpp>

namespace dchag::parallel {

/// The sum over all ranks that hold parts of one copy of a model, for `gradient_norm` and `clip_gradients`: replicated
/// parameters once, of distributed ones what each tensor-parallel rank holds, of sharded ones all shards. Of copies the
/// first counts: others may have other numbers of threads, and round their own sums differently.
///
/// Collective: all ranks of the mesh; one all-reduce of one double. The same number on all ranks, bit for bit.
class GradientSum {
public:
  GradientSum(comm::Mesh const& mesh, bool sharded)
      : m_mesh(&mesh), m_counts((sharded ? mesh.data() : mesh.replicas()).rank() == 0) {}

  double operator()(double replicated, double distributed) const {
    double const own = distributed + (m_mesh->tensor_index() == 0 ? replicated : 0);
    return comm::all_reduce(m_mesh->world(), m_counts ? own : 0, comm::Reduce::sum);
  }

private:
  comm::Mesh const* m_mesh;
  bool m_counts; // holds a part of the first copy
};

} // namespace dchag::parallel
