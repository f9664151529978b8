// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/layers/encoder_block.hpp>

#include <contracts/layer_contract.hpp>

namespace layers_contract {

using namespace dchag;
using namespace dchag::test;

namespace {

template <bool Bias>
struct LinearSubject {
  static Shapes<3, 3> shapes() { return {{2, 3, 5}, {2, 3, 7}}; }
  static Shapes<3, 3> other_shapes() { return {{3, 40, 5}, {3, 40, 7}}; }
  template <class Space, class T>
  static auto make(Space const& exec) {
    return layers::Linear<Space, T>(exec, "linear", {.inputs = 5, .outputs = 7, .bias = Bias}, 1);
  }
};

struct LayerNormSubject {
  static Shapes<3, 3> shapes() { return {{2, 3, 9}, {2, 3, 9}}; }
  static Shapes<3, 3> other_shapes() { return {{3, 40, 9}, {3, 40, 9}}; }
  template <class Space, class T>
  static auto make(Space const& exec) {
    return layers::LayerNorm<Space, T>(exec, "norm", 9);
  }
};

struct MlpSubject {
  static Shapes<3, 3> shapes() { return {{2, 3, 5}, {2, 3, 4}}; }
  static Shapes<3, 3> other_shapes() { return {{1, 70, 5}, {1, 70, 4}}; }
  template <class Space, class T>
  static auto make(Space const& exec) {
    return layers::Mlp<Space, T>(exec, "mlp", {.inputs = 5, .hidden = 11, .outputs = 4}, 1);
  }
};

template <std::size_t Heads>
struct SelfAttentionSubject {
  static Shapes<3, 3> shapes() { return {{2, 5, 12}, {2, 5, 12}}; }
  static Shapes<3, 3> other_shapes() { return {{1, 70, 12}, {1, 70, 12}}; }
  template <class Space, class T>
  static auto make(Space const& exec) {
    return layers::SelfAttention<Space, T>(exec, "attention", {.width = 12, .heads = Heads}, 1);
  }
};

struct EncoderBlockSubject {
  static Shapes<3, 3> shapes() { return {{2, 5, 8}, {2, 5, 8}}; }
  static Shapes<3, 3> other_shapes() { return {{1, 70, 8}, {1, 70, 8}}; }
  template <class Space, class T>
  static auto make(Space const& exec) {
    return layers::EncoderBlock<Space, T>(exec, "block", {.width = 8, .heads = 2, .mlp_ratio = 3}, 1);
  }
};

} // namespace

TEST_CASE_TEMPLATE("Linear keeps the contract of layers, with and without bias", Case, DCHAG_TEST_CASES) {
  check_layer_contract<LinearSubject<true>, Case>();
  check_layer_contract<LinearSubject<false>, Case>();
}

TEST_CASE_TEMPLATE("LayerNorm keeps the contract of layers", Case, DCHAG_TEST_CASES) {
  check_layer_contract<LayerNormSubject, Case>();
}

TEST_CASE_TEMPLATE("Mlp keeps the contract of layers", Case, DCHAG_TEST_CASES) {
  check_layer_contract<MlpSubject, Case>();
}

TEST_CASE_TEMPLATE("SelfAttention keeps the contract of layers, with one head and with more", Case, DCHAG_TEST_CASES) {
  check_layer_contract<SelfAttentionSubject<1>, Case>();
  check_layer_contract<SelfAttentionSubject<3>, Case>();
}

TEST_CASE_TEMPLATE("EncoderBlock keeps the contract of layers", Case, DCHAG_TEST_CASES) {
  check_layer_contract<EncoderBlockSubject, Case>();
}

TEST_CASE("layers: say which sizes do not fit") {
  Kokkos::DefaultHostExecutionSpace const exec;
  using Space = Kokkos::DefaultHostExecutionSpace;
  CHECK_THROWS_WITH_AS((layers::Linear<Space, float>(exec, "head", {.inputs = 0, .outputs = 2}, 1)),
                       "Linear: 'head' maps 0 to 2 features, expected at least 1 each", ShapeError);
  CHECK_THROWS_WITH_AS((layers::SelfAttention<Space, float>(exec, "block0.attention", {.width = 10, .heads = 4}, 1)),
                       "SelfAttention: 'block0.attention' has width 10, expected a multiple of its heads 4",
                       ShapeError);
  CHECK_THROWS_AS((layers::SelfAttention<Space, float>(exec, "a", {.width = 10, .heads = 0}, 1)), ShapeError);
  CHECK_THROWS_AS((layers::EncoderBlock<Space, float>(exec, "b", {.width = 0, .heads = 1}, 1)), ShapeError);
}

} // namespace layers_contract
