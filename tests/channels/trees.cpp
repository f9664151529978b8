// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <contracts/layer_contract.hpp>
#include <support/aggregation.hpp>

namespace channels_trees {

using namespace dchag;
using namespace dchag::test;

namespace {

/// The samples of an image and its grid of patches.
struct Size {
  std::size_t samples, rows, columns;
};

template <class Tree, class Case>
void check_equals_definition(AggregatorConfig const& config, Size const& size, Choice const& choice = {}) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  CAPTURE(config.channels);
  Space const exec;
  Workspace<Space> workspace(exec);
  ChannelAggregator<Space, T, Tree> aggregator(exec, config);
  randomize(aggregator);
  auto const pixels = random_tensor<T>(
      exec, 2, "image",
      {size.samples, choice.present(config.channels).size(), size.rows * config.patch, size.columns * config.patch});
  auto const found = step_of(workspace, aggregator, pixels, choice);
  auto const expected = reference_step<Tree>(config, values_of(aggregator), array_of(pixels), choice);
  CHECK(relative_error(found.y, expected.y) < tolerance<T>(1e-5, 1e-12));
  CHECK(relative_error(found.d_image, expected.d_image) < tolerance<T>(1e-5, 1e-12));
  CHECK(worst_error(found.d_weights, expected.d_weights) < tolerance<T>(1e-5, 1e-12));
}

/// Any number of channels, patches of 1, 2 and 4 pixels, 1, 2 and 4 heads, images that are not square; channels that
/// are absent, so that groups are smaller or empty, in another order; some of the positions.
template <class Tree, class Case>
void check_equals_definition() {
  check_equals_definition<Tree, Case>({.channels = 1, .patch = 4, .width = 6, .heads = 1}, {1, 1, 2});
  check_equals_definition<Tree, Case>({.channels = 5, .patch = 2, .width = 8, .heads = 2}, {2, 2, 3});
  check_equals_definition<Tree, Case>({.channels = 13, .patch = 1, .width = 12, .heads = 4}, {3, 4, 3});
  check_equals_definition<Tree, Case>({.channels = 37, .patch = 2, .width = 8, .heads = 4, .projection_bias = true},
                                      {1, 3, 2});
  Choice const some{.channels = {30, 12, 2, 3, 11}, .positions = {{5, 0, 3}, {1, 2, 4}}};
  check_equals_definition<Tree, Case>({.channels = 37, .patch = 2, .width = 8, .heads = 2}, {2, 3, 2}, some);
  check_equals_definition<Tree, Case>({.channels = 5, .patch = 1, .width = 8, .heads = 2}, {2, 1, 2},
                                      {.channels = {4}});
}

template <class Tree, std::size_t Channels, bool Bias>
struct Subject {
  static Shapes<4, 3> shapes() { return {{2, Channels, 4, 6}, {2, 6, 8}}; }
  static Shapes<4, 3> other_shapes() { return {{1, Channels, 10, 2}, {1, 5, 8}}; }
  template <class Space, class T>
  static auto make(Space const& exec) {
    return ChannelAggregator<Space, T, Tree>(
        exec, {.channels = Channels, .patch = 2, .width = 8, .heads = 2, .projection_bias = Bias});
  }
};

using Uneven = MixedTree<Level<Linear, 7>, Level<CrossAttention, 3, Modules::shared>, Level<Linear, 1>>;

} // namespace

TEST_CASE_TEMPLATE("Tree<CrossAttention> is the flat aggregation of the definition", Case, DCHAG_TEST_CASES) {
  check_equals_definition<Tree<CrossAttention>, Case>();
  check_layer_contract<Subject<Tree<CrossAttention>, 5, true>, Case>();
  check_layer_contract<Subject<Tree<CrossAttention>, 5, false>, Case>();
}

TEST_CASE_TEMPLATE("Tree<Linear> is a weighted sum of the channels' tokens", Case, DCHAG_TEST_CASES) {
  check_equals_definition<Tree<Linear>, Case>();
  check_layer_contract<Subject<Tree<Linear>, 5, false>, Case>();
}

TEST_CASE_TEMPLATE("Tree<CrossAttention, 4> has four groups and one above", Case, DCHAG_TEST_CASES) {
  check_equals_definition<Tree<CrossAttention, 4>, Case>();
  check_layer_contract<Subject<Tree<CrossAttention, 4>, 6, true>, Case>();
}

TEST_CASE_TEMPLATE("Tree<Linear, 4> and Tree<Linear, 16, 4>", Case, DCHAG_TEST_CASES) {
  check_equals_definition<Tree<Linear, 4>, Case>();
  check_equals_definition<Tree<Linear, 16, 4>, Case>();
  check_layer_contract<Subject<Tree<Linear, 16, 4>, 19, false>, Case>();
}

TEST_CASE_TEMPLATE("SharedTree: one module serves groups of different sizes", Case, DCHAG_TEST_CASES) {
  check_equals_definition<SharedTree<CrossAttention, 2>, Case>();
  check_equals_definition<SharedTree<Linear, 4>, Case>();
  check_layer_contract<Subject<SharedTree<CrossAttention, 2>, 5, false>, Case>();
  check_layer_contract<Subject<SharedTree<Linear, 4>, 6, false>, Case>();
}

TEST_CASE_TEMPLATE("MixedTree: levels of different layers", Case, DCHAG_TEST_CASES) {
  check_equals_definition<Uneven, Case>();
  check_layer_contract<Subject<Uneven, 9, true>, Case>();
}

} // namespace channels_trees
