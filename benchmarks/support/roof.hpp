// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/comm/communicator.hpp>

#include <type_traits>

namespace dchag::bench {

/// What this machine can do, measured at the start of every run by all ranks at the same time: sums over the ranks.
struct Roof {
  double copy;          ///< bytes a second, read and written, of a copy too large for the caches
  double product_float; ///< operations a second of one product of 1024 x 1024 x 1024 through ops::gemm
  double product_double;
  double eigen_float; ///< the same product by Eigen alone, one thread a rank
  double eigen_double;

  template <class T>
  double product() const {
    return std::is_same_v<T, float> ? product_float : product_double;
  }
};

/// Collective: all ranks; sends a few numbers only.
Roof measure_roof(comm::Communicator const& communicator);

/// The roof of this run, and its ranks: there from the beginning of the first benchmark to the end of the last.
Roof const& roof();
comm::Communicator const& ranks();

} // namespace dchag::bench
