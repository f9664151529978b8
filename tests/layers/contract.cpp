// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/layers/encoder_block.hpp>

#include <contracts/layer_contract.hpp>
#include <reference/attention.hpp>
#include <reference/gelu.hpp>
#include <reference/layer_norm.hpp>
#include <reference/linear.hpp>
#include <support/parameters.hpp>

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

/// An encoder block as its definition says, with the weights that a layer has under the name "block".
class BlockByDefinition {
public:
  BlockByDefinition(Numbers weights, std::size_t heads, double epsilon)
      : m_weights(std::move(weights)), m_heads(heads), m_epsilon(epsilon) {}

  /// Shapes: x (B, L, D) -> (B L, D).
  reference::Array<2> operator()(reference::Array<3> const& x) const {
    auto const [B, L, D] = x.extents;
    reference::Array<2> const rows{{B * L, D}, x.values};
    auto const qkv = linear(norm(rows, "norm_1"), "attention.qkv");
    std::vector<reference::Array<3>> parts(3, reference::Array<3>(x.extents));
    for (std::size_t part = 0; part < 3; ++part)
      for (std::size_t n = 0; n < B * L; ++n)
        for (std::size_t j = 0; j < D; ++j) parts[part].values[n * D + j] = qkv(n, part * D + j);
    auto const mixed = reference::attention_forward(m_heads, parts[0], parts[1], parts[2]).out;
    auto const middle = sum(rows, linear({{B * L, D}, mixed.values}, "attention.out"));
    auto hidden = linear(norm(middle, "norm_2"), "mlp.in");
    for (double& z : hidden.values) z = reference::gelu(z);
    return sum(middle, linear(hidden, "mlp.out"));
  }

private:
  reference::Array<1> vector(std::string const& name) const {
    auto const& values = m_weights.at("block." + name);
    return {{values.size()}, values};
  }
  reference::Array<2> norm(reference::Array<2> const& x, std::string const& name) const {
    return reference::layer_norm_forward(x, vector(name + ".scale"), vector(name + ".shift"), m_epsilon).y;
  }
  reference::Array<2> linear(reference::Array<2> const& x, std::string const& name) const {
    auto const bias = vector(name + ".bias");
    return reference::linear_forward(x, {{bias.extents[0], x.extents[1]}, m_weights.at("block." + name + ".weight")},
                                     bias);
  }
  static reference::Array<2> sum(reference::Array<2> a, reference::Array<2> const& b) {
    for (std::size_t i = 0; i < a.values.size(); ++i) a.values[i] += b.values[i];
    return a;
  }

  Numbers m_weights;
  std::size_t m_heads;
  double m_epsilon;
};

} // namespace

TEST_CASE_TEMPLATE("Linear keeps the contract of layers, with and without bias", Case, DCHAG_TEST_CASES) {
  check_layer_contract<LinearSubject<true>, Case>();
  check_layer_contract<LinearSubject<false>, Case>();
}

TEST_CASE_TEMPLATE("LayerNorm keeps the contract of layers", Case, DCHAG_TEST_CASES) {
  check_layer_contract<LayerNormSubject, Case>();
}

TEST_CASE_TEMPLATE("LayerNorm adds the epsilon that it is given", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Space const exec;
  Workspace<Space> workspace(exec);
  double const epsilon = 0.1;
  layers::LayerNorm<Space, T> norm(exec, "norm", 9, false, epsilon);
  randomize(norm);
  auto const weights = values_of(norm);
  typename layers::LayerNorm<Space, T>::Context context;
  auto const x = random_tensor<T>(exec, 1, "x", {5, 9});
  auto const d_y = random_tensor<T>(exec, 1, "d_y", {5, 9});
  auto const y = filled_tensor<T>(exec, {5, 9}, nan_value);
  auto const d_x = filled_tensor<T>(exec, {5, 9}, nan_value);
  norm.forward(workspace, context, x, y);
  norm.backward(workspace, context, x, d_y, d_x);
  exec.fence();
  reference::Array<1> const scale{{9}, weights.at("norm.scale")}, shift{{9}, weights.at("norm.shift")};
  auto const expected = reference::layer_norm_backward(array_of(x), scale, epsilon, array_of(d_y));
  double const bound = tolerance<T>(1e-5, 1e-12);
  CHECK(relative_error(y, reference::layer_norm_forward(array_of(x), scale, shift, epsilon).y.values) < bound);
  CHECK(relative_error(d_x, expected.d_x.values) < bound);
  auto const gradients = gradients_of(norm);
  CHECK(relative_error(gradients.at("norm.scale"), expected.d_scale.values) < bound);
  CHECK(relative_error(gradients.at("norm.shift"), expected.d_shift.values) < bound);
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

TEST_CASE_TEMPLATE("EncoderBlock is its definition, for the epsilon that it is given", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  using Block = layers::EncoderBlock<Space, T>;
  Space const exec;
  Workspace<Space> workspace(exec);
  for (double const epsilon : {layers::default_norm_epsilon, 0.1}) {
    Block block(exec, "block", {.width = 8, .heads = 2, .mlp_ratio = 3, .norm_epsilon = epsilon}, 1);
    randomize(block);
    BlockByDefinition const by_definition(values_of(block), 2, epsilon);
    typename Block::Context context;
    auto const x = random_tensor<T>(exec, 1, "x", {2, 5, 8});
    auto const d_y = random_tensor<T>(exec, 1, "d_y", {2, 5, 8});
    auto const y = filled_tensor<T>(exec, {2, 5, 8}, nan_value);
    auto const d_x = filled_tensor<T>(exec, {2, 5, 8}, nan_value);
    block.forward(workspace, context, x, y);
    block.backward(workspace, context, x, d_y, d_x);
    exec.fence();
    CHECK(relative_error(y, by_definition(array_of(x)).values) < tolerance<T>(1e-5, 1e-12));

    std::vector<double> slopes; // of the definition's d_y . y, by central differences
    double const step = 1e-5;
    auto const weight = flat(d_y);
    auto moved = array_of(x);
    for (double& value : moved.values) {
      double const at = value;
      double slope = 0;
      for (int const side : {1, -1}) {
        value = at + side * step;
        auto const there = by_definition(moved).values;
        for (std::size_t i = 0; i < there.size(); ++i) slope += side * weight[i] * there[i] / (2 * step);
      }
      value = at;
      slopes.push_back(slope);
    }
    CHECK(relative_error(d_x, slopes) < tolerance<T>(1e-4, 1e-8));
  }
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
  CHECK_THROWS_WITH_AS((layers::LayerNorm<Space, float>(exec, "norm", 3, false, 0)),
                       "LayerNorm: 'norm' has epsilon 0, expected above 0 and at most 1", ShapeError);
  CHECK_THROWS_WITH_AS((layers::LayerNorm<Space, float>(exec, "norm", 3, false, 1e-50)), // 0 as a float
                       "LayerNorm: 'norm' has epsilon 1e-50, expected above 0 and at most 1", ShapeError);
  CHECK_THROWS_AS((layers::LayerNorm<Space, double>(exec, "norm", 3, false, std::nan(""))), ShapeError);
}

} // namespace layers_contract
