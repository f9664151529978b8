// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/models/encoder.hpp>
#include <dchag/models/prediction_head.hpp>

#include <contracts/layer_contract.hpp>

namespace models_parts {

using namespace dchag;
using namespace dchag::test;

namespace {

template <std::size_t HiddenLayers>
struct HeadSubject {
  static Shapes<3, 3> shapes() { return {{2, 3, 6}, {2, 3, 10}}; }
  static Shapes<3, 3> other_shapes() { return {{1, 40, 6}, {1, 40, 10}}; }
  template <class Space, class T>
  static auto make(Space const& exec) {
    return PredictionHead<Space, T>(exec, "head", {.inputs = 6, .outputs = 10, .hidden_layers = HiddenLayers}, 1);
  }
};

/// An encoder whose tokens lie at the first positions of a 3 x 4 grid, backwards.
template <class Space, class T, bool Recompute>
class EncoderOnGrid {
public:
  using value_type = T;
  using Context = typename Encoder<Space, T>::Context;

  explicit EncoderOnGrid(Space const& exec)
      : m_encoder(exec, "encoder",
                  {.grid = {3, 4}, .width = 8, .depth = 2, .heads = 2, .mlp_ratio = 2, .recompute = Recompute}, 1) {}

  template <class X, class Y>
  void forward(Workspace<Space>& workspace, Context& context, X const& x, Y const& y) {
    m_encoder.forward(workspace, context, x, positions(x), y);
  }
  template <class X, class DY, class DX>
  void backward(Workspace<Space>& workspace, Context const& context, X const& x, DY const& d_y, DX const& d_x) {
    if constexpr (is_wanted<DX>) {
      m_encoder.backward(workspace, context, positions(x), d_y, d_x);
    } else {
      auto frame = workspace.frame();
      m_encoder.backward(workspace, context, positions(x), d_y, frame.template take<T, 3>(extents_of(x)));
    }
  }
  template <class F>
  void for_each_parameter(F const& f) {
    m_encoder.for_each_parameter(f);
  }

private:
  using Index = Tensor<Space, std::size_t, 1>;

  template <class X>
  Index positions(X const& x) {
    std::size_t const count = x.extent(0) * x.extent(1);
    if (m_positions.extent(0) == count) return m_positions;
    m_positions = Index("positions", count);
    auto const host = Kokkos::create_mirror_view(m_positions);
    for (std::size_t i = 0; i < count; ++i) host(i) = x.extent(1) - 1 - i % x.extent(1);
    Kokkos::deep_copy(m_positions, host);
    return m_positions;
  }

  Encoder<Space, T> m_encoder;
  Index m_positions;
};

template <bool Recompute>
struct EncoderSubject {
  static Shapes<3, 3> shapes() { return {{2, 5, 8}, {2, 5, 8}}; }
  static Shapes<3, 3> other_shapes() { return {{1, 12, 8}, {1, 12, 8}}; }
  template <class Space, class T>
  static auto make(Space const& exec) {
    return EncoderOnGrid<Space, T, Recompute>(exec);
  }
};

} // namespace

TEST_CASE_TEMPLATE("the prediction head keeps the contract of layers", Case, DCHAG_TEST_CASES) {
  check_layer_contract<HeadSubject<0>, Case>();
  check_layer_contract<HeadSubject<2>, Case>();
}

TEST_CASE_TEMPLATE("the encoder keeps the contract of layers", Case, DCHAG_TEST_CASES) {
  check_layer_contract<EncoderSubject<false>, Case>();
  check_layer_contract<EncoderSubject<true>, Case>();
}

TEST_CASE_TEMPLATE("the position embedding starts as the sine and cosine of column, then row", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  PositionEmbedding<Space, typename Case::T> embedding(Space(), "position", {.rows = 2, .columns = 3}, 8);
  embedding.for_each_parameter([](auto& table) {
    CHECK(table.spec().shape == std::vector<std::size_t>{6, 8});
    auto const values = flat(table.values());
    double const slow = std::pow(10000.0, -0.5); // the second of two frequencies
    std::vector<double> const expected{std::sin(2.0), std::sin(2 * slow), std::cos(2.0), std::cos(2 * slow),
                                       std::sin(1.0), std::sin(slow),     std::cos(1.0), std::cos(slow)};
    for (std::size_t j = 0; j < 8; ++j) CHECK(values[5 * 8 + j] == doctest::Approx(expected[j])); // row 1, column 2
  });
}

} // namespace models_parts
