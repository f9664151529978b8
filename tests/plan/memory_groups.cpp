// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause

// D-CHAG.
#include <support/planned.hpp>

namespace plan_memory_groups {

using namespace dchag;
using namespace dchag::test;
using parallel::SequenceParallel;
using parallel::TensorParallel;
using Space = PlannedSpace;

namespace {

template <class TreePolicy, class Final, class Form>
using Groups = DistributedAggregator<Space, float, TreePolicy, Final, Form>;

plan::Config groups_of(plan::Form form, plan::Layer layer, std::size_t level,
                       plan::Final final_module = plan::Final::cross_attention) {
  auto c = planned_config();
  c.aggregation = {.strategy = plan::Strategy::groups,
                   .form = form,
                   .layer = layer,
                   .level = level,
                   .groups = 4,
                   .final_module = final_module};
  return c;
}

} // namespace

TEST_CASE("D-CHAG -C, fused, holds what was planned") {
  check_plans<Groups<Tree<CrossAttention>, CrossAttention, Fused>, TensorParallel>(
      groups_of(plan::Form::fused, plan::Layer::cross_attention, 0));
}

TEST_CASE("D-CHAG -C with one more level, materialized, and shared heads holds what was planned") {
  check_plans<Groups<Tree<CrossAttention, 2>, HeadShared, Materialized>, SequenceParallel>(
      groups_of(plan::Form::materialized, plan::Layer::cross_attention, 2, plan::Final::head_shared));
}

TEST_CASE("D-CHAG -C, fused, and shared heads holds what was planned") {
  check_plans<Groups<Tree<CrossAttention>, HeadShared, Fused>, TensorParallel>(
      groups_of(plan::Form::fused, plan::Layer::cross_attention, 0, plan::Final::head_shared));
}

TEST_CASE("D-CHAG -C with one more level, fused, holds what was planned") {
  check_plans<Groups<Tree<CrossAttention, 2>, CrossAttention, Fused>, Replicated>(
      groups_of(plan::Form::fused, plan::Layer::cross_attention, 2));
}

TEST_CASE("D-CHAG -L with one more level and a linear end, fused, holds what was planned") {
  check_plans<Groups<Tree<Linear, 2>, Linear, Fused>, Replicated>(
      groups_of(plan::Form::fused, plan::Layer::linear, 2, plan::Final::linear));
}

TEST_CASE("D-CHAG -L, materialized, holds what was planned") {
  check_plans<Groups<Tree<Linear>, CrossAttention, Materialized>, Replicated>(
      groups_of(plan::Form::materialized, plan::Layer::linear, 0));
}

TEST_CASE("D-CHAG -L, fused, and shared heads holds what was planned") {
  check_plans<Groups<Tree<Linear>, HeadShared, Fused>, TensorParallel>(
      groups_of(plan::Form::fused, plan::Layer::linear, 0, plan::Final::head_shared));
}

} // namespace plan_memory_groups
