// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause

// What the poolings and the sum take from a workspace is what they say beforehand.
#include <dchag/ops/absorbed_pooling.hpp>
#include <dchag/ops/fused_pooling.hpp>
#include <dchag/ops/fused_sum.hpp>

#include <numeric>
#include <support/arrays.hpp>
#include <support/spaces.hpp>

namespace ops_planned_workspace {

using namespace dchag;
using namespace dchag::test;

namespace {

using Space = Kokkos::DefaultHostExecutionSpace;

struct Sizes {
  std::size_t samples, rows, columns; // N of them, patches
  std::size_t tokens, patch, heads, d;
  std::size_t parts = 1; // of the heads: these are one

  std::size_t N() const { return samples * rows * columns; }
  std::size_t D() const { return heads * d * parts; }
  std::size_t V() const { return heads * d; }
  std::size_t s() const { return patch * patch; }
};

// Few positions and many, none, fewer than a block and not whole blocks, patches of each kind, wide and narrow.
constexpr Sizes all_sizes[] = {{1, 1, 3, 5, 2, 2, 4},      {2, 8, 8, 20, 4, 4, 24},   {1, 16, 20, 3, 4, 2, 100},
                               {3, 5, 7, 33, 2, 8, 16},    {1, 4, 4, 6, 12, 4, 64},   {2, 3, 3, 2, 1, 1, 8},
                               {4, 9, 9, 17, 8, 4, 32},    {1, 30, 30, 40, 2, 16, 4}, {1, 2, 2, 600, 1, 2, 16},
                               {1, 8, 9, 20, 4, 2, 24, 3}, {1, 3, 5, 9, 12, 1, 8, 8}, {0, 2, 2, 3, 2, 2, 4}};

template <class T>
struct Arrays {
  using Patches = ops::Patches<Tensor<Space, T, 4>, typename Space::memory_space>;

  explicit Arrays(Sizes const& n)
      : image(tensor<4>({n.samples, n.tokens, n.rows * n.patch, n.columns * n.patch})), patches{image, n.patch, {}, {}},
        channels(index_tensor(exec, counted(n.tokens))), weights(weights_of(n)),
        d_weights(weights_of(n)), pooled{tensor<2>({n.N(), n.V()}), tensor<2>({n.N(), n.heads}),
                                         tensor<2>({n.N(), n.heads})},
        d_o(tensor<2>({n.N(), n.V()})), delta(tensor<2>({n.N(), n.heads})) {}

  template <std::size_t Rank>
  Tensor<Space, T, Rank> tensor(std::size_t const (&extents)[Rank]) const {
    return filled_tensor<T>(exec, extents, 0.5);
  }
  static std::vector<std::size_t> counted(std::size_t count) {
    std::vector<std::size_t> list(count);
    std::iota(list.begin(), list.end(), std::size_t(0));
    return list;
  }
  ops::PoolingWeights<Space, T> weights_of(Sizes const& n) const {
    return {{tensor<3>({n.tokens, n.D(), n.s()}), tensor<2>({n.tokens, n.D()}), tensor<2>({n.tokens, n.D()}), channels},
            tensor<2>({n.heads, n.D()}),
            tensor<2>({n.V(), n.D()})};
  }

  Space exec;
  Tensor<Space, T, 4> image;
  Patches patches;
  Tensor<Space, std::size_t, 1> channels;
  ops::PoolingWeights<Space, T> weights, d_weights;
  ops::Pooled<Space, T> pooled;
  Tensor<Space, T, 2> d_o, delta;
};

std::size_t workers() {
  return static_cast<std::size_t>(concurrency(Space()));
}

/// The peak of a pass in a workspace of its own.
template <class Pass>
std::size_t peak_of(Pass const& pass) {
  Workspace<Space> workspace;
  pass(workspace);
  return workspace.peak_bytes();
}

template <class F>
void for_all_sizes(F const& f) {
  for (auto const& n : all_sizes) {
    CAPTURE(n.N());
    CAPTURE(n.D());
    CAPTURE(n.s());
    CAPTURE(n.tokens);
    f(n);
  }
}

} // namespace

TEST_CASE_TEMPLATE("a fused pooling takes what it says", T, float, double) {
  for_all_sizes([](Sizes const& n) {
    Arrays<T> const a(n);
    for (auto const values : {ops::Values::automatic, ops::Values::tokens, ops::Values::pixels})
      for (std::size_t const tile : {0, 64, 1000}) {
        CAPTURE(ops::name_of(values));
        CAPTURE(tile);
        ops::PoolingChoice const choice{values, tile};
        auto const said =
            ops::fused_pooling_workspace<T>(workers(), {n.N(), n.tokens, n.s(), n.D(), n.heads, n.V()}, choice);
        CHECK(said.forward == peak_of([&](auto& workspace) {
                ops::fused_pooling_forward(workspace, choice, a.patches, a.weights, a.pooled);
              }));
        CHECK(said.backward == peak_of([&](auto& workspace) {
                ops::fused_pooling_backward(workspace, choice, a.patches, a.weights, a.pooled, a.d_o, a.delta,
                                            a.d_weights, no_gradient);
              }));
      }
  });
}

TEST_CASE_TEMPLATE("an absorbed pooling takes what it says", T, float, double) {
  for_all_sizes([](Sizes const& n) {
    Arrays<T> const a(n);
    auto const x = a.template tensor<3>({n.tokens, n.N(), n.D()});
    auto const said = ops::absorbed_pooling_workspace<Space, T>(n.N(), n.tokens, n.D(), n.heads);
    CHECK(said.forward == peak_of([&](auto& workspace) {
            ops::absorbed_pooling_forward(workspace, x, a.weights.query, a.weights.value, a.pooled);
          }));
    CHECK(said.backward == peak_of([&](auto& workspace) {
            ops::absorbed_pooling_backward(workspace, x, a.weights.query, a.weights.value, a.pooled, a.d_o, a.delta,
                                           a.d_weights.query, a.d_weights.value, 0, n.tokens, no_gradient);
          }));
  });
}

TEST_CASE_TEMPLATE("a fused sum takes what it says", T, float, double) {
  for_all_sizes([](Sizes const& n) {
    Arrays<T> const a(n);
    auto const w = a.template tensor<1>({n.tokens});
    auto const beta = a.template tensor<1>({1});
    auto const& members = a.channels;
    auto const y = a.template tensor<2>({n.N(), n.D()});
    auto const said = ops::fused_sum_workspace<T>(workers(), n.N(), n.tokens, n.s(), n.D());
    CHECK(said.forward == peak_of([&](auto& workspace) {
            ops::fused_sum_forward(workspace, a.patches, a.weights.patch_embedding, w, beta, members, y);
          }));
    CHECK(said.backward == peak_of([&](auto& workspace) {
            ops::fused_sum_backward(workspace, a.patches, a.weights.patch_embedding, w, members, y,
                                    a.d_weights.patch_embedding, w, beta, no_gradient);
          }));
  });
}

TEST_CASE("a fused sum of no channels takes what it says") {
  CHECK(ops::fused_sum_workspace<float>(3, 20, 0, 4, 8).forward > 0);
  CHECK(ops::fused_sum_workspace<float>(3, 0, 5, 4, 8).forward == 0);
}

} // namespace ops_planned_workspace
