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

/// Sums units' gradients over the ranks while the backward pass goes on. A unit's sum begins when the last pass of the
/// step has added to its gradients.
///
/// Replicas may use different units, or the same ones in another order, but MPI matches collectives by the order in
/// which ranks begin them. So all ranks begin the sums in one order: from the last unit to the first, then what is in
/// no unit. A unit whose gradients are complete early waits for its turn. A unit that is not in the last pass begins,
/// with those after it, when the step ends.
///
/// A sharded unit is summed twice: first over the shards, then over the ranks that hold the same shard. The second sums
/// begin in the order above as well. With `full`, the sums over the shards begin in every pass, in the order in which
/// the units are used, which is therefore the same on all shards of one copy.
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
      unit.done = unit.scattered = false;
      Kokkos::deep_copy(m_exec, unit.gradients, T(0));
    }
    m_next = m_next_of_holders = 0;
  }

  /// Room for the whole gradients of a unit that holds only its shard of them: zeros.
  Values acquire(Unit const& unit) {
    auto const whole = m_pool.acquire(m_exec, unit);
    start_sums_over_holders();
    return whole;
  }

  /// What the passes before this one left in the gradients counts `factor` times.
  void reweigh(double factor) {
    for (auto const& unit : m_units)
      if (unit.sharding != Sharding::full) scale(m_exec, unit.gradients, factor);
  }

  /// A pass has added to the unit's gradients, which count `weight` times. `last`: none will after it.
  void add(Unit& unit, double weight, bool last) {
    if (unit.sharding == Sharding::full) m_pool.start(m_exec, m_mesh, unit, weight, last);
    unit.done = last;
    start_sums_over_holders();
    while (m_next + 1 < m_units.size() && in_order(m_next).done) start(in_order(m_next++), weight);
  }

  /// Begins the sums that are left, except over the holders of the last two units that are summed over the shards here.
  void start_rest(double weight) {
    if (m_units.front().sharding == Sharding::full) {
      m_pool.finish(m_exec); // what every pass summed over the shards
      for (auto& unit : m_units) unit.scattered = unit.sharding == Sharding::full;
      start_sums_over_holders();
    }
    for (; m_next < m_units.size(); ++m_next) start(in_order(m_next), weight);
  }
  /// Returns when all are there.
  void finish() {
    m_pool.finish(m_exec);
    start_sums_over_holders();
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

  // Begins to sum a unit that each rank holds whole; `full` does so in each pass.
  void start(Unit& unit, double weight) {
    if (unit.sharding == Sharding::optimizer) {
      m_pool.start(m_exec, m_mesh, unit, weight, true);
    } else if (unit.sharding == Sharding::none) {
      scale(m_exec, unit.gradients, weight);
      unit.scattered = true; // nothing to sum over shards
    }
    start_sums_over_holders();
  }

  // Of the units whose turn it is. To be called where all ranks of a copy are at the same place of the program, since
  // a collective may be made at once.
  void start_sums_over_holders() {
    for (; m_next_of_holders < m_units.size() && in_order(m_next_of_holders).scattered; ++m_next_of_holders)
      if (auto& unit = in_order(m_next_of_holders); unit.size > 0) start_sum_over_holders(m_exec, m_mesh, unit);
  }

  ExecutionSpace m_exec;
  comm::Mesh const& m_mesh;
  std::vector<Unit>& m_units;
  std::size_t m_next = 0; // in the order of the beginnings
  std::size_t m_next_of_holders = 0;
  GradientPool<ExecutionSpace, T> m_pool;
};

} // namespace dchag::parallel::detail
