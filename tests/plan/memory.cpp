// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/channels/flat_aggregator.hpp>

#include <sstream>
#include <support/planned.hpp>

namespace plan_memory {

using namespace dchag;
using namespace dchag::test;
using parallel::SequenceParallel;
using parallel::Sharding;
using parallel::TensorParallel;
using Space = PlannedSpace;

namespace {

plan::Config flat_config(ops::Values values = ops::Values::automatic) {
  auto c = planned_config();
  c.aggregation.pooling.values = values;
  return c;
}

double ratio(std::size_t part, std::size_t whole) {
  return static_cast<double>(part) / static_cast<double>(whole);
}

// A model whose tables and norms are small beside its blocks.
plan::Config large_config() {
  return {.samples = 1,
          .height = 128,
          .width = 256,
          .patch = 4,
          .channels = 1024,
          .features = 2048,
          .heads = 32,
          .depth = 32,
          .aggregation = {.strategy = plan::Strategy::groups, .groups = 8}};
}

} // namespace

TEST_CASE("a replicated flat model holds what was planned") {
  for (auto const values : {ops::Values::tokens, ops::Values::pixels}) {
    auto c = flat_config(values);
    c.dropout = values == ops::Values::tokens;
    check_plans<ChannelAggregator<Space, float>, Replicated>(c);
  }
}

TEST_CASE("an exact flat model on any ranks holds what was planned") {
  for (auto const values : {ops::Values::tokens, ops::Values::pixels}) {
    auto c = flat_config(values);
    c.aggregation.strategy = plan::Strategy::exact_flat;
    c.aggregation.projection_bias = values == ops::Values::tokens;
    check_plans<FlatAggregator<Space, double>, TensorParallel>(c);
    c.dropout = true;
    check_plans<FlatAggregator<Space, double>, SequenceParallel>(c);
  }
  auto c = flat_config(ops::Values::automatic);
  c.aggregation.strategy = plan::Strategy::exact_flat;
  c.aggregation.form = plan::Form::materialized;
  for (bool const biased : {false, true}) {
    c.aggregation.projection_bias = biased;
    check_plans<FlatAggregator<Space, float, Materialized>, TensorParallel>(c);
  }
}

TEST_CASE("sharding divides what is at rest") {
  auto const whole = plan::memory(large_config());
  for (std::size_t shards : {2, 8, 64}) {
    CAPTURE(shards);
    auto c = large_config();
    c.mesh.shard = shards;
    c.sharding = Sharding::optimizer;
    auto const optimizer = plan::memory(c);
    CHECK(ratio(optimizer.parameters, whole.parameters) == doctest::Approx(1).epsilon(1e-4));
    CHECK(ratio(shards * optimizer.optimizer, whole.optimizer) == doctest::Approx(1).epsilon(0.02));
    c.sharding = Sharding::full;
    auto const full = plan::memory(c);
    std::size_t const rest = 2048 * 2048 * 4 + 128 * 2048 * 2 * 4; // of no unit: tables and decoder.in, in no shards
    CHECK(ratio(shards * (full.parameters - rest), whole.parameters) == doctest::Approx(1).epsilon(0.02));
    CHECK(full.gradients == full.parameters);
    CHECK(ratio(shards * full.optimizer, whole.optimizer) == doctest::Approx(1).epsilon(0.02));
    CHECK(full.buffers > optimizer.buffers);
    CHECK(full.activations == whole.activations);
  }
}

TEST_CASE("tensor parallelism divides the blocks, sequence parallelism their activations too") {
  auto const of_blocks = [](plan::Config c) { // the difference of one block more
    auto const less = plan::memory(c);
    ++c.depth;
    auto more = plan::memory(c);
    more.parameters -= less.parameters;
    more.activations -= less.activations;
    return more;
  };
  auto const whole = of_blocks(large_config());
  for (std::size_t P : {2, 4, 8}) {
    CAPTURE(P);
    auto c = large_config();
    c.mesh.tensor = P;
    c.encoder = plan::EncoderForm::tensor_parallel;
    auto const tensor = of_blocks(c);
    c.encoder = plan::EncoderForm::sequence_parallel;
    auto const sequence = of_blocks(c);
    CHECK(ratio(P * tensor.parameters, whole.parameters) == doctest::Approx(1).epsilon(0.02));
    CHECK(ratio(P * sequence.parameters, whole.parameters) == doctest::Approx(1).epsilon(0.02));
    CHECK(ratio(P * sequence.activations, whole.activations) == doctest::Approx(1).epsilon(0.02));
    CHECK(tensor.activations > sequence.activations);
    CHECK(tensor.activations < whole.activations);
  }
}

TEST_CASE("what no model can be is refused") {
  auto c = large_config();
  auto const refused = [](plan::Config const& config) {
    try {
      static_cast<void>(plan::memory(config));
    } catch (Error const& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(refused(c) == "");
  c.heads = 48;
  CHECK(refused(c) == "plan: the features is 2048, expected a multiple of the heads, 48");
  c = large_config();
  c.mesh.tensor = 3;
  CHECK(refused(c) == "plan: the number of groups is 8, expected a multiple of the tensor-parallel ranks, 3");
  c = large_config();
  c.aggregation = {.strategy = plan::Strategy::exact_flat, .level = 4};
  CHECK(refused(c) == "plan: a shared flat aggregation has a tree, expected one cross-attention");
  c = large_config();
  c.number_bytes = 2;
  CHECK(refused(c) == "plan: numbers of 2 bytes, expected 4 or 8");
}

TEST_CASE("the table shows every category and the sum") {
  plan::Memory const memory{.parameters = 1, .gradients = 2, .optimizer = 3, .activations = 4, .workspace = 5};
  std::ostringstream out;
  out << memory;
  for (auto const* name : {"parameters", "gradients", "optimizer", "activations", "workspace", "buffers"})
    CHECK(out.str().find(name) != std::string::npos);
  CHECK(out.str().find("total                       15") != std::string::npos);
}

} // namespace plan_memory
