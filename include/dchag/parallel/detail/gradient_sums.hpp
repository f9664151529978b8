// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/parallel/detail/gradient_pool.hpp>

namespace dchag::parallel::detail {

/// Scales numbers by `factor`, and those of `shared` by `shared_factor`.
template <class Values>
struct MakeMean {
  using T = typename Values::value_type;
  Values values; // (N)
  Range shared;
  T factor, shared_factor;
  KOKKOS_FUNCTION void operator()(std::size_t i) const {
    values(i) *= shared.begin <= i && i < shared.end ? shared_factor : factor;
  }
};

/// Sums units' gradients over the ranks: each unit's behind the backward pass of the next, as soon as no pass of the
/// step adds to them any more.
///
/// All ranks begin these sums in one order: from the last unit to the first, then what is in no unit. A unit that is
/// done earlier waits for its turn, and what is left at the end of the step is begun then. So the sums match whichever
/// units each rank used, and however often. Only what `full` sums in every pass is begun as the units are used.
template <class ExecutionSpace, class T>
class GradientSums {
public:
  using Unit = FlatUnit<ExecutionSpace, T>;
  using Values = typename Unit::Values;

  /// `units` end with what is in no unit. Keeps references to the mesh and to them.
  GradientSums(ExecutionSpace const& exec, comm::Mesh const& mesh, std::vector<Unit>& units)
      : m_exec(exec), m_mesh(mesh), m_units(units) {}

  /// `size` of the largest unit with sharded gradients, `shard_size` of the largest shard.
  void reserve(std::size_t size, std::size_t shard_size) { m_pool.reserve(m_exec, size, shard_size); }

  /// Begins a step: all gradients are zero.
  void begin_step() {
    m_pool.drop();
    for (auto& unit : m_units) {
      unit.wait();
      unit.done = false;
      Kokkos::deep_copy(m_exec, unit.gradients, T(0));
    }
    m_next = 0;
  }

  /// Room for the whole gradients of a unit that holds only its shard of them: zeros.
  Values acquire(Unit const& unit) { return m_pool.acquire(m_exec, m_mesh, unit); }

  /// What the passes before this one left in the gradients counts `factor` times.
  void reweigh(double factor) {
    for (auto const& unit : m_units)
      if (unit.sharding != Sharding::full) scale(m_exec, unit.gradients, factor);
  }

  /// A pass has added to the unit's gradients, which count `weight` times. `last`: none will after it.
  void add(Unit& unit, double weight, bool last) {
    if (unit.sharding == Sharding::full) m_pool.start(m_exec, m_mesh, unit, weight, last);
    unit.done = last;
    while (m_next + 1 < m_units.size() && in_order(m_next).done) start(in_order(m_next++), weight);
  }

  /// Begins the sums that are left.
  void start_rest(double weight) {
    m_pool.finish(m_exec, m_mesh);
    for (; m_next < m_units.size(); ++m_next) start(in_order(m_next), weight);
  }
  /// Returns when all are there.
  void finish() {
    m_pool.finish(m_exec, m_mesh);
    for (auto& unit : m_units) unit.wait();
  }
  /// Makes means of the sums, which count `total` times; of those of tensor-parallel ranks as well, where each of them
  /// computed all.
  void make_means(double total) {
    double const shared = total * m_mesh.tensor().size();
    if (math::equal(shared, 1.0)) return;
    for (auto const& unit : m_units)
      for_each_number(m_exec, "dchag::parallel::mean_gradients", unit.own.size(),
                      MakeMean<Values>{unit.own_gradients(), unit.in_own({unit.partial, unit.alike}),
                                       static_cast<T>(1 / total), static_cast<T>(1 / shared)});
  }

  void progress() {
    m_pool.progress();
    for (auto& unit : m_units) unit.progress();
  }

  /// What a request may still write to.
  template <class F>
  void for_each_buffer(F const& f) const {
    m_pool.for_each_buffer(f);
    for (auto const& unit : m_units) f(unit.gradients);
  }

private:
  Unit& in_order(std::size_t i) { return i + 1 < m_units.size() ? m_units[m_units.size() - 2 - i] : m_units.back(); }

  void start(Unit& unit, double weight) {
    if (unit.sharding == Sharding::full) {
      if (!unit.done) start_sum_over_holders(m_exec, m_mesh, unit); // each pass was summed over the shards
    } else if (unit.sharding == Sharding::optimizer) {
      m_pool.start(m_exec, m_mesh, unit, weight, true);
    } else {
      scale(m_exec, unit.gradients, weight);
      start_sum_over_holders(m_exec, m_mesh, unit);
    }
  }

  ExecutionSpace m_exec;
  comm::Mesh const& m_mesh;
  std::vector<Unit>& m_units;
  std::size_t m_next = 0; // in the order of the beginnings
  GradientPool<ExecutionSpace, T> m_pool;
};

} // namespace dchag::parallel::detail
