// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/description.hpp>
#include <dchag/parallel/detail/flat_units.hpp>
#include <dchag/parallel/detail/gradient_pool.hpp>
#include <dchag/parallel/detail/value_pool.hpp>
#include <dchag/parallel/gradient_sum.hpp>

namespace dchag::parallel {

namespace detail {
/// A visitor of units; named, since nvcc does not take a generic lambda in a concept.
struct AnyUnit {
  template <class Layer>
  void operator()(Unit&, Layer&) const {}
};
} // namespace detail

/// A model that marks the use of its units.
template <class M>
concept HasUnits = HasParameters<M> && requires(M& model) {
  typename M::value_type;
  typename M::execution_space;
  model.for_each_unit(detail::AnyUnit{});
};

/// Trains a model on the samples of all replicas of a mesh as one rank would on all of them, with its parameters whole
/// on every rank or sharded. It is itself a model of what this rank's optimizer updates: `AdamW`, `clip_gradients` and
/// checkpoints are given it in place of the model, whose layers see whole parameters while they are used. A step is
///
///     parallel::DataParallel training(exec, mesh, model, parallel::Sharding::full);
///     ...
///     training.begin_step();                                           // gradients are zero
///     model.forward(workspace, context, image, mask);                  // this replica's samples
///     model.backward(workspace, context, image, target, mask);         // sums a unit's gradients behind the next's
///     training.finish_backward();                                      // gradients are means over the replicas
///     clip_gradients(exec, training, 1.0, training.gradient_sum());
///     optimizer.step(exec, training, rate);
///     training.values_changed();                                       // all ranks see the new values
///
/// Replicas have equally many samples of a loss that is their mean. With begin_step(K) forward and backward run K times
/// before finish_backward, and gradients are means over K micro-batches as well; with `full` each of them is summed
/// over the shards, otherwise only the last. Forward passes alone, to evaluate, need nothing else at any time between
/// values_changed and begin_step.
///
/// Each unit (layers/unit.hpp) is one flat array of parameters that begin at multiples of 64 bytes, in order:
/// partial gradients, replicated, distributed; padded to the number of shards, and to the largest of the ranks of
/// `mesh.tensor()`. A shard is one contiguous part of it. What is held and sent: sharding.hpp. Partial gradients are
/// summed over `mesh.tensor()` at the end. A step in steady state allocates no View.
///
/// The model works on the `exec` given here. It and the mesh must outlive this object and not be moved, and each unit
/// is used by itself and at most once in a backward pass. After an exception that every rank caught, begin_step begins
/// anew. When this object ends, the model is as it was before, except that one that was deferred holds the values it
/// was given, and that with `full` it holds none.
template <HasUnits Model>
class DataParallel final : public UnitObserver {
public:
  using value_type = typename Model::value_type;
  using execution_space = typename Model::execution_space;

private:
  using T = value_type;
  using ExecutionSpace = execution_space;
  using FlatUnit = detail::FlatUnit<ExecutionSpace, T>;
  using Values = typename FlatUnit::Values;

public:
  /// Gives every replica the values of the first. `model` is whole, as it was made; or `deferred`, all or some of it,
  /// and never holds more than sharding.hpp says: with `full` each rank makes the initial values of its own shard,
  /// which must be the same on all replicas. 16 of each parameter are compared; a unit in which they differ, or which
  /// not all replicas deferred, becomes whole in a buffer, as do those that hold values.
  ///
  /// Collective: all ranks of the mesh, which agree on units and sizes by a few small all-reduces; one broadcast for
  /// each unit, over the replicas, or of a shard over its copies.
  /// Throws: CommError if the replicas' models or the policies differ, or
  /// tensor-parallel ranks do not hold the same replicated parameters; Error if two units name the same parameter, or
  /// one holds no values. On every rank.
  DataParallel(ExecutionSpace const& exec, comm::Mesh const& mesh, Model& model, Sharding sharding = Sharding::none)
      : m_exec(exec), m_mesh(mesh), m_model(model), m_sharding(mesh.shape().shard > 1 ? sharding : Sharding::none),
        m_units(detail::find_units(model, m_sharding)) {
    detail::arrange(mesh, m_sharding, m_units);
    if (m_sharding == Sharding::full) detail::compare_beginnings(mesh, m_units);
    allocate_pools();
    for (auto& unit : m_units) detail::take_over(exec, mesh, unit, m_values.scratch());
    m_own = detail::own_parts(model, m_units);
    std::size_t index = 0;
    model.for_each_unit([&](Unit& unit, auto&) { unit.attach(this, index++); });
  }
  DataParallel(DataParallel const&) = delete;
  DataParallel& operator=(DataParallel const&) = delete;
  ~DataParallel() {
    m_model.for_each_unit([](Unit& unit, auto&) { unit.attach(nullptr, 0); });
    if (std::uncaught_exceptions() > m_exceptions) abandon();
    for (auto const& unit : m_units)
      if (unit.sharding == Sharding::full) unit.bind(Values(), Values());
  }

  /// The policy; `none` where one rank would share with itself.
  Sharding sharding() const { return m_sharding; }
  comm::Mesh const& mesh() const { return m_mesh; }

  /// Begins a step of so many forward and backward passes, the same number on all ranks: all gradients are zero.
  /// Throws: Error unless there is at least one.
  void begin_step(std::size_t micro_batches = 1) {
    require<Error>(micro_batches > 0, "DataParallel::begin_step: 0 micro-batches, expected at least 1");
    m_values.wait();
    m_gradients.drop();
    for (auto& unit : m_units) {
      unit.pending.wait();
      unit.passes = 0;
      Kokkos::deep_copy(m_exec, unit.gradients, T(0));
    }
    m_in_use = nullptr;
    m_micro_batches = micro_batches;
  }

  /// Ends the backward passes of a step: this rank's gradients are means over replicas and micro-batches.
  /// Collective: all ranks of the mesh; what has not been summed yet is, see sharding.hpp.
  /// Throws: Error without begin_step before it, CommError.
  void finish_backward() {
    require_step("finish_backward");
    m_values.wait();
    m_gradients.finish(m_exec, m_mesh);
    for (std::size_t i = m_units.size(); i-- > 0;)
      if (m_units[i].passes < m_micro_batches) sum_late(m_units[i]);
    m_gradients.finish(m_exec, m_mesh);
    for (auto& unit : m_units) unit.pending.wait();
    sum_partial_gradients();
    auto const count = static_cast<double>(m_mesh.replicas().size()) * static_cast<double>(m_micro_batches);
    for (auto const& unit : m_units)
      if (count > 1)
        detail::for_each_number(m_exec, "dchag::parallel::mean_gradients", unit.own.size(),
                                detail::ScaleBy<Values>{unit.own_gradients(), static_cast<T>(1 / count)});
    m_micro_batches = 0;
  }

  /// After this rank's values were changed, by an optimizer for instance; `load_checkpoint` calls it by itself.
  /// Collective: all ranks of `mesh.shard()`, which exchange what each of them holds; see sharding.hpp. Throws:
  /// CommError.
  void values_changed() {
    m_values.forget();
    for (auto& unit : m_units)
      if (unit.sharding == Sharding::optimizer)
        unit.pending = comm::start_all_gather(m_exec, m_mesh.shard(), unit.own_values(), unit.values);
    for (auto& unit : m_units) unit.pending.wait();
  }

  /// The mean over the replicas of a number, such as the loss.
  /// Collective: one all-reduce of a double over the replicas. Throws: CommError.
  double mean(double value) const {
    return comm::all_reduce(m_mesh.replicas(), value, comm::Reduce::sum) / m_mesh.replicas().size();
  }

  /// For `gradient_norm` and `clip_gradients`.
  GradientSum gradient_sum() const { return GradientSum(m_mesh, m_sharding != Sharding::none); }

  /// This rank's parts of the parameters, in the model's order, without those of which it holds nothing.
  template <class F>
  void for_each_parameter(F const& f) {
    for (auto& own : m_own) f(own);
  }

  /// What the model says of itself.
  Description describe() const requires Described<Model> { return m_model.describe(); }

  // What units call.
  void before_forward(std::size_t index) override {
    auto const& unit = begin_use(index);
    if (unit.sharding == Sharding::full) unit.bind(whole_values(index, index + 1), Values());
  }
  void after_forward(std::size_t index) override { end_use(index); }
  void before_backward(std::size_t index) override {
    require_step("backward");
    auto const& unit = begin_use(index);
    require<Error>(unit.passes < m_micro_batches, "DataParallel: ", unit.name, " goes backward once more after ",
                   unit.passes, " passes, expected as many as begin_step says");
    if (unit.sharding == Sharding::full)
      unit.bind(whole_values(index, index - 1), m_gradients.acquire(m_exec, m_mesh, unit));
  }
  void after_backward(std::size_t index) override {
    auto& unit = end_use(index);
    ++unit.passes;
    if (unit.sharding == Sharding::full || unit.passes == m_micro_batches) sum(unit);
  }

private:
  void allocate_pools() {
    std::size_t largest = 0, largest_shard = 0;
    for (auto const& unit : m_units) {
      if (unit.sharding == Sharding::full) largest = (std::max)(largest, unit.size);
      if (unit.sharding != Sharding::none) largest_shard = (std::max)(largest_shard, unit.own.size());
    }
    if (largest > 0) m_values.reserve(m_exec, largest, m_units.size() - 1);
    m_gradients.reserve(m_exec, largest, largest_shard);
  }

  void require_step(char const* what) const {
    require<Error>(m_micro_batches > 0, "DataParallel: ", what, " outside of a step, expected begin_step before it");
  }

  FlatUnit& begin_use(std::size_t index) {
    auto& unit = m_units[index];
    require<Error>(m_in_use == nullptr, "DataParallel: ", unit.name, " is used inside ",
                   m_in_use == nullptr ? "" : m_in_use->name, ", expected one unit at a time since begin_step");
    m_in_use = &unit;
    return unit;
  }
  FlatUnit& end_use(std::size_t index) {
    auto& unit = m_units[index];
    m_in_use = nullptr;
    if (unit.sharding == Sharding::full) unit.bind(Values(), Values());
    m_values.progress();
    m_gradients.progress();
    for (auto& other : m_units) other.pending.progress();
    return unit;
  }

  // The unit's values; those of the next one are begun if there is one (below 0 the index wraps around).
  Values whole_values(std::size_t index, std::size_t next) {
    return m_values.acquire(m_exec, m_mesh.shard(), m_units[index],
                            next < m_units.size() - 1 ? &m_units[next] : nullptr);
  }

  void sum(FlatUnit& unit) {
    if (unit.sharding == Sharding::none)
      unit.pending = comm::start_all_reduce(m_exec, m_mesh.replicas(), unit.gradients, comm::Reduce::sum);
    else
      m_gradients.start(m_exec, m_mesh, unit, unit.passes == m_micro_batches);
  }

  // Of a unit that was not in every backward pass, or no unit.
  void sum_late(FlatUnit& unit) {
    unit.passes = m_micro_batches;
    if (unit.sharding == Sharding::full) // each pass was summed over the shards
      unit.pending = comm::start_all_reduce(m_exec, m_mesh.data(), unit.gradients, comm::Reduce::sum);
    else
      sum(unit);
  }

  void sum_partial_gradients() {
    for (auto& unit : m_units) {
      auto const held = detail::intersection(Range{0, unit.partial}, unit.own);
      Range const place{held.begin - unit.own.begin, held.end - unit.own.begin};
      if (held.size() > 0)
        unit.pending = comm::start_all_reduce(m_exec, m_mesh.tensor(), detail::part(unit.own_gradients(), place),
                                              comm::Reduce::sum);
    }
    for (auto& unit : m_units) unit.pending.wait();
  }

  // An exception is on its way out of the program: other ranks may never take part in what is under way, and what MPI
  // may still write to has to stay.
  void abandon() {
    auto* const kept = new std::vector<Values>;
    auto const keep = [&](Values const& buffer) { kept->push_back(buffer); };
    m_values.for_each_buffer(keep);
    m_gradients.for_each_buffer(keep);
    for (auto const& unit : m_units) {
      keep(unit.values);
      keep(unit.gradients);
    }
  }

  ExecutionSpace m_exec;
  comm::Mesh const& m_mesh;
  Model& m_model;
  Sharding m_sharding;
  int m_exceptions = std::uncaught_exceptions();
  std::vector<FlatUnit> m_units;
  std::vector<Parameter<ExecutionSpace, T>> m_own;
  std::size_t m_micro_batches = 0; // 0 outside of a step
  FlatUnit const* m_in_use = nullptr;
  detail::ValuePool<ExecutionSpace, T> m_values; // these go before the units
  detail::GradientPool<ExecutionSpace, T> m_gradients;
};

} // namespace dchag::parallel
