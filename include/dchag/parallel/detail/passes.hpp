// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/comm/mesh.hpp>
#include <dchag/comm/pending.hpp>
#include <dchag/core/hash.hpp>
#include <dchag/core/number.hpp>

#include <bit>
#include <chrono>
#include <cmath>
#include <thread>

namespace dchag::parallel::detail {

/// The backward passes of a step: how many the model is to make, how many it began, and what they count.
class Passes {
public:
  /// Collective: all ranks of the mesh, if tensor-parallel ranks share samples.
  explicit Passes(comm::Mesh const& mesh) : m_mesh(mesh) {
    if (mesh.tensor().size() > 1) m_tensor.emplace(mesh.tensor().native());
  }

  bool in_step() const { return m_step.expected > 0; }
  bool is_last() const { return m_step.begun == m_step.expected; }
  std::size_t begun() const { return m_step.begun; }
  std::size_t missing() const { return m_step.expected - m_step.begun; }
  /// Whether the pass under way was announced, and did not begin with its first unit.
  bool is_announced() const { return m_step.announced; }
  /// By what the gradients that were added up are to be multiplied.
  double weight() const { return m_step.weight; }

  void begin_step(std::size_t expected) { m_step = {.expected = expected}; }

  /// A pass begins that counts `weight` times, 0 if it has no samples. Returns by what the gradients of those before it
  /// are to be multiplied now.
  double begin(double weight, bool announced) {
    ++m_step.begun;
    m_step.announced = announced;
    m_step.total += weight;
    m_step.weights.push_back(weight);
    if (math::equal(weight, 0.0)) return 1;
    double const before = std::exchange(m_step.weight, weight);
    return std::exchange(m_step.has_samples, true) ? before / weight : 1;
  }

  /// To be called by a rank of which passes are missing when the step ends; remembers how many. It waits up to 5
  /// seconds until all ranks of its tensor group are here. If they are not, they are inside of the model, where they
  /// wait for this rank; it then throws alone, which ends the run. Collective: the tensor group.
  void note_missing() {
    m_step.missing = missing();
    if (!m_tensor) return;
    auto all_here = comm::start_barrier(*m_tensor);
    auto const limit = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (!all_here.progress() && std::chrono::steady_clock::now() < limit)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    require<Error>(all_here.progress(), sentence(m_step), "; other ranks of its tensor group are still in theirs");
  }

  /// What all ranks say of their passes, added up.
  struct Tally {
    double weight, weight_of_all, missing, expected, expected_squared;
    double weights_differ; // other than 0 if the weights differ within a tensor group
  };
  /// Collective: one all-reduce of six doubles over all ranks.
  Tally tally() const {
    auto const K = static_cast<double>(m_step.expected);
    bool const first = m_mesh.tensor_index() == 0;
    // the mark of the first rank of a group against those of all: whole numbers below 2^53, so that sums are exact
    double const mark = mark_of_weights() * (first ? 1 - m_mesh.tensor().size() : 1);
    std::vector<double> const own{
        first ? m_step.total : 0, m_step.total, static_cast<double>(m_step.missing), K, K * K, mark};
    auto const sums = comm::all_reduce(m_mesh.world(), own, comm::Reduce::sum);
    return {sums[0], sums[1], sums[2], sums[3], sums[4], sums[5]};
  }

  /// Ends the step; returns what all passes of all replicas count. Throws: on every rank, unless all expected as many
  /// passes and made them, and some had samples. Collective: only if it throws.
  double end_step(Tally const& all) {
    Step const step = std::exchange(m_step, {});
    auto const& world = m_mesh.world();
    if (!math::equal(all.expected_squared * world.size(),
                     all.expected * all.expected)) // of equal numbers only these are the same
      comm::require_same(world, "DataParallel::begin_step", "micro_batches", step.expected);
    if (all.missing > 0) comm::collectively(world, [&] { require<Error>(step.missing == 0, sentence(step)); });
    double const average = all.weight_of_all / m_mesh.tensor().size();
    comm::require_together<Error>(
        world, std::abs(average - all.weight) <= 1e-9 * all.weight, "DataParallel::finish_backward: weights sum to ",
        average, " on the average of a tensor group, expected ", all.weight, " as on the first of each");
    if (!math::equal(all.weights_differ, 0.0)) // which sums do not show: one rank says 3, 5 and another 5, 3
      comm::agree_between_groups(
          world, [&] { comm::require_same(m_mesh.tensor(), "DataParallel::begin_pass", settings_of(step.weights)); });
    comm::require_together<Error>(world, all.weight > 0,
                                  "DataParallel::finish_backward: weights sum to 0, expected a replica with samples");
    return all.weight;
  }

private:
  struct Step {
    std::size_t expected = 0; // 0 outside of a step
    std::size_t begun = 0;
    std::size_t missing = 0; // when it ended
    bool announced = false;
    bool has_samples = false; // some pass had
    double weight = 1;        // of the last that had
    double total = 0;         // of all weights
    std::vector<double> weights = {};
  };

  // A number below 2^32 made of the weights of all passes and of the replica, so that replicas do not make up for each
  // other.
  double mark_of_weights() const {
    Hash hash;
    hash.add(static_cast<std::uint64_t>(m_mesh.replicas().rank()));
    for (double const weight : m_step.weights) hash.add(std::bit_cast<std::uint64_t>(weight));
    return static_cast<double>(hash.value() >> 32);
  }

  static std::vector<comm::Setting> settings_of(std::vector<double> const& weights) {
    std::vector<comm::Setting> settings;
    for (std::size_t k = 0; k < weights.size(); ++k)
      settings.emplace_back(concat("weight of pass ", k + 1, " of ", weights.size()), weights[k]);
    return settings;
  }

  static std::string sentence(Step const& step) {
    return concat("DataParallel::finish_backward: backward passes are ", step.expected - step.missing, ", expected ",
                  step.expected, " as begin_step says");
  }

  comm::Mesh const& m_mesh;
  std::optional<comm::Communicator> m_tensor; // nobody else communicates here
  Step m_step;
};

} // namespace dchag::parallel::detail
