// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/description.hpp>
#include <dchag/parallel/detail/flat_units.hpp>
#include <dchag/parallel/detail/gradient_sums.hpp>
#include <dchag/parallel/detail/passes.hpp>
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
/// Micro-batches: after begin_step(K) the model goes forward and backward K times before finish_backward, and gradients
/// are means over K micro-batches as well; with `full` each of them is summed over the shards, otherwise only the last.
/// A pass begins when the first unit goes backward, the next when a unit goes backward again. Passes that have no unit
/// in common are announced by begin_pass. Not every unit need be in each pass, and replicas may use different units, or
/// the same in another order; but with `full`, the ranks of `mesh.shard()` use the same units in the same order, since
/// each of them holds a part of every unit. Forward passes alone, to evaluate, need
/// nothing else at any time between values_changed and begin_step.
///
/// Unequal numbers of samples: the loss of each pass is a mean over its samples, and begin_pass says how many these
/// are. Gradients are then means over the samples of all replicas and micro-batches. The ranks of a tensor group share
/// their samples and say the same. A replica that has none for a pass calls empty_pass in the place of forward and
/// backward:
///
///     if (samples == 0) training.empty_pass();
///     else training.begin_pass(samples), model.forward(...), loss = model.backward(...);
///     ...
///     loss = training.mean(loss, samples);
///
/// Each unit (layers/unit.hpp) is one flat array of parameters that begin at multiples of 64 bytes, in order:
/// partial gradients, replicated, distributed; padded to the number of shards, and to the largest of the ranks of
/// `mesh.tensor()`. A shard is one contiguous part of it. What is held and sent: sharding.hpp. A step in steady state
/// allocates no View.
///
/// Ranks may run on processors of several kinds, which round differently. Activations then differ a little between the
/// ranks of a tensor group, and with them the gradients that each of these computes of the same replicated parameter.
/// finish_backward leaves the mean of them on all, bit for bit the same, and with an optimizer that updates each value
/// by itself, at a rate that is the same on all ranks, whatever several ranks hold stays equal.
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
  /// Gives every replica the values of the first, and every tensor-parallel rank the first one's of what they share.
  /// `model` is whole, as it was made; or `deferred`, all or some of it, and never holds more than sharding.hpp says:
  /// with `full` each rank makes the initial values of its own shard, which must be the same on all replicas. 16 of
  /// each parameter are compared; a unit in which they differ, or which not all replicas deferred, becomes whole in a
  /// buffer, as do those that hold values.
  ///
  /// Collective: all ranks of the mesh, which agree on units and sizes by a few small all-reduces; one broadcast for
  /// each unit, over the replicas, or of a shard over its copies, and one of what tensor-parallel ranks share of it.
  /// Throws: CommError if the replicas' models or the policies differ, or tensor-parallel ranks do not hold the same
  /// replicated parameters; Error if two units name the same parameter, or one holds no values. On every rank.
  DataParallel(ExecutionSpace const& exec, comm::Mesh const& mesh, Model& model, Sharding sharding = Sharding::none)
      : m_exec(exec), m_mesh(mesh), m_model(model), m_sharding(mesh.shape().shard > 1 ? sharding : Sharding::none),
        m_units(detail::find_units(model, m_sharding)), m_passes(mesh), m_sums(exec, mesh, m_units) {
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
  /// Collective: with `full` or tensor-parallel ranks, one all-reduce of 16 bytes over all ranks of the mesh.
  /// Throws: Error unless there is at least one; CommError on every rank, where it is collective, if ranks say
  /// different numbers.
  void begin_step(std::size_t micro_batches = 1) {
    require<Error>(micro_batches > 0, "DataParallel::begin_step: 0 micro-batches, expected at least 1");
    if (m_sharding == Sharding::full || m_mesh.tensor().size() > 1) // who makes more passes would wait for the others
      comm::require_same(m_mesh.world(), "DataParallel::begin_step", "micro_batches", micro_batches);
    m_values.wait();
    m_sums.begin_step();
    for (auto& unit : m_units) unit.last_pass = 0;
    m_in_use = nullptr;
    m_passes.begin_step(micro_batches);
  }

  /// The next backward pass counts `weight` times, such as the number of its samples; 1 if this is not called. To be
  /// called before the pass, by all ranks of a tensor group with the same number. Not collective.
  /// Throws: Error unless the step has one more pass and weight is above 0.
  void begin_pass(double weight = 1) {
    require_pass("begin_pass");
    require<Error>(math::is_finite(weight) && weight > 0, "DataParallel::begin_pass: weight is ", weight,
                   ", expected above 0 (empty_pass makes a pass without samples)");
    start_pass(weight, true);
  }

  /// Takes the place of a forward and a backward pass for which this replica has no samples.
  /// Collective: with `full`, what these send over `mesh.shard()`, where the other replicas use each unit once in the
  /// forward pass, in order, and once in the backward pass, in reverse. Throws: Error unless the step has one more
  /// pass.
  void empty_pass() {
    require_pass("empty_pass");
    start_pass(0, true);
    std::size_t const n = m_units.size() - 1;
    for (std::size_t i = 0; i < n && m_sharding == Sharding::full; ++i) {
      before_forward(i);
      after_forward(i);
    }
    for (std::size_t i = n; i-- > 0;) {
      before_backward(i);
      after_backward(i);
    }
  }

  /// Ends the backward passes of a step: this rank's gradients are means over replicas and micro-batches, or their
  /// samples, and of replicated parameters over the ranks of a tensor group. What several ranks hold is the same on all
  /// of them, bit for bit.
  /// Collective: all ranks of the mesh; what has not been summed yet is, see sharding.hpp.
  /// Throws: Error without begin_step before it; CommError or Error, on every rank, if ranks began the step with
  /// different numbers of passes, one made fewer, no pass had samples, or the ranks of a tensor group gave different
  /// weights for a pass. Then begin_step begins anew. Where a rank made fewer passes than others of its tensor group,
  /// these wait for it inside of the model: it waits up to 5 seconds for them to come here, then throws alone, which
  /// ends the run.
  void finish_backward() {
    require_step("finish_backward");
    if (m_units.size() == 1) // of a model without units nobody sees the passes
      while (m_passes.missing() > 0) start_pass(1, false);
    if (m_passes.missing() > 0) {
      m_passes.note_missing();
      while (m_passes.missing() > 0) empty_pass(); // what the others send must find its match
    }
    m_values.wait();
    m_sums.start_rest(m_passes.weight());
    auto const tally = m_passes.tally();
    m_sums.finish();
    m_sums.make_means(m_passes.end_step(tally));
  }

  /// After this rank's values were changed, by an optimizer for instance; `load_checkpoint` calls it by itself.
  /// Collective: all ranks of `mesh.shard()`, which exchange what each of them holds; see sharding.hpp. Throws:
  /// CommError.
  void values_changed() {
    m_values.forget();
    for (auto& unit : m_units)
      if (unit.sharding == Sharding::optimizer)
        unit.pending[0] = comm::start_all_gather(m_exec, m_mesh.shard(), unit.own_values(), unit.values);
    for (auto& unit : m_units) unit.wait();
  }

  /// The mean over the replicas of a number, such as the loss. Of each tensor group the first rank's counts, and all
  /// ranks get the same, bit for bit.
  /// Collective: one all-reduce of a double over all ranks of the mesh. Throws: CommError.
  double mean(double value) const {
    double const own = m_mesh.tensor_index() == 0 ? value : 0;
    return comm::all_reduce(m_mesh.world(), own, comm::Reduce::sum) / m_mesh.replicas().size();
  }
  /// The same, where each replica's number counts `weight` times; where that is 0, the number may be anything.
  /// Collective: one all-reduce of two doubles over all ranks of the mesh.
  /// Throws: CommError; Error, on every rank, unless the weights sum to a number above 0.
  double mean(double value, double weight) const {
    bool const counts = m_mesh.tensor_index() == 0 && !math::equal(weight, 0.0);
    std::vector<double> const own{counts ? weight * value : 0, counts ? weight : 0};
    auto const sums = comm::all_reduce(m_mesh.world(), own, comm::Reduce::sum);
    comm::require_together<Error>(m_mesh.world(), sums[1] > 0, "DataParallel::mean: weights sum to ", sums[1],
                                  ", expected above 0");
    return sums[0] / sums[1];
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
    auto& unit = begin_use(index);
    if (m_passes.begun() == 0 || unit.last_pass == m_passes.begun()) {
      require<Error>(m_passes.missing() > 0, "DataParallel: ", unit.name, " goes backward once more after ",
                     m_passes.begun(), " passes, expected as many as begin_step says");
      require<Error>(!m_passes.is_announced(), "DataParallel: ", unit.name,
                     " goes backward once more in one pass, expected begin_pass before each or none");
      start_pass(1, false);
    }
    unit.last_pass = m_passes.begun();
    if (unit.sharding == Sharding::full) unit.bind(whole_values(index, index - 1), m_sums.acquire(unit));
  }
  void after_backward(std::size_t index) override { m_sums.add(end_use(index), m_passes.weight(), m_passes.is_last()); }

private:
  void allocate_pools() {
    std::size_t largest = 0, largest_shard = 0;
    for (auto const& unit : m_units) {
      if (unit.sharding == Sharding::full) largest = (std::max)(largest, unit.size);
      if (unit.sharding != Sharding::none) largest_shard = (std::max)(largest_shard, unit.own.size());
    }
    if (largest > 0) m_values.reserve(m_exec, largest, m_units.size() - 1);
    m_sums.reserve(largest, largest_shard);
  }

  void require_step(char const* what) const {
    require<Error>(m_passes.in_step(), "DataParallel: ", what, " outside of a step, expected begin_step before it");
  }

  void require_pass(char const* what) const {
    require_step(what);
    require<Error>(m_passes.missing() > 0, "DataParallel: ", what, " once more after ", m_passes.begun(),
                   " passes, expected as many as begin_step says");
  }
  void start_pass(double weight, bool announced) { m_sums.reweigh(m_passes.begin(weight, announced)); }

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
    m_sums.progress();
    return unit;
  }

  // The unit's values; those of the next one are begun if there is one (below 0 the index wraps around).
  Values whole_values(std::size_t index, std::size_t next) {
    return m_values.acquire(m_exec, m_mesh.shard(), m_units[index],
                            next < m_units.size() - 1 ? &m_units[next] : nullptr);
  }

  // An exception is on its way out of the program: other ranks may never take part in what is under way, and what MPI
  // may still write to has to stay.
  void abandon() {
    auto* const kept = new std::vector<Values>;
    auto const keep = [&](Values const& buffer) { kept->push_back(buffer); };
    m_values.for_each_buffer(keep);
    m_sums.for_each_buffer(keep);
    for (auto const& unit : m_units) keep(unit.values);
  }

  ExecutionSpace m_exec;
  comm::Mesh const& m_mesh;
  Model& m_model;
  Sharding m_sharding;
  int m_exceptions = std::uncaught_exceptions();
  std::vector<FlatUnit> m_units;
  std::vector<Parameter<ExecutionSpace, T>> m_own;
  FlatUnit const* m_in_use = nullptr;
  detail::Passes m_passes;
  detail::ValuePool<ExecutionSpace, T> m_values; // these go before the units
  detail::GradientSums<ExecutionSpace, T> m_sums;
};

} // namespace dchag::parallel
