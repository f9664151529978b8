// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/ops/fused_sum.hpp>

#include <numeric>
#include <reference/fused_sum.hpp>
#include <reference/patches.hpp>
#include <support/allocations.hpp>
#include <support/arrays.hpp>
#include <support/spaces.hpp>

namespace ops_fused_sum {

using namespace dchag;
using namespace dchag::test;

namespace {

/// What a sum is taken of. N = samples * rows * columns, in patches.
struct Sizes {
  std::size_t C, patch, D, samples, rows, columns;
};

/// The realisations there are: the one for all spaces, in chunks of so many numbers, and the one for hosts, with so
/// many workers; 0 and 0 is what the library chooses.
struct Way {
  std::size_t numbers, workers;
};
template <class Space>
std::vector<Way> ways() {
  std::vector<Way> const everywhere{{0, 0}, {ops::detail::sum_chunk_numbers, 0}, {3000, 0}};
  std::vector<Way> const on_hosts{{0, 0}, {ops::detail::sum_chunk_numbers, 0}, {3000, 0}, {0, 1}, {0, 5}};
  return runs_on_host<Space> ? on_hosts : everywhere;
}

/// The arguments on a device, and the same for the reference: a few channels more are held than are summed, and in
/// another order; there are more inputs than tokens.
template <class Space, class T>
struct Sum {
  ops::PatchEmbedding<Space, T> embedding, d_embedding;
  Tensor<Space, T, 1> w, beta, d_w, d_beta;
  Tensor<Space, std::size_t, 1> members;
  Tensor<Space, T, 2> y, d_y;
  reference::SumOfTokens expected;

  static ops::PatchEmbedding<Space, T> random_embedding(Space const& exec, std::uint64_t seed, std::size_t K,
                                                        std::size_t D, std::size_t s,
                                                        Tensor<Space, std::size_t, 1> const& channels) {
    return {random_tensor<T>(exec, seed, "weight", {K, D, s}), random_tensor<T>(exec, seed, "bias", {K, D}),
            random_tensor<T>(exec, seed, "embedding", {K, D}), channels};
  }

  Sum(Space const& exec, std::size_t N, std::size_t D, std::size_t s, std::size_t K, std::size_t inputs,
      std::vector<std::size_t> const& channels, std::vector<std::size_t> const& which)
      : embedding(random_embedding(exec, 1, K, D, s, index_tensor(exec, channels))),
        d_embedding(random_embedding(exec, 2, K, D, s, embedding.channels)),
        w(random_tensor<T>(exec, 1, "w", {inputs})), beta(random_tensor<T>(exec, 1, "beta", {1})),
        d_w(random_tensor<T>(exec, 1, "d_w", {inputs})), d_beta(random_tensor<T>(exec, 1, "d_beta", {1})),
        members(index_tensor(exec, which)), y(filled_tensor<T>(exec, {N, D}, nan_value)),
        d_y(random_tensor<T>(exec, 1, "d_y", {N, D})), expected{array_of(embedding.weight),
                                                                array_of(embedding.bias),
                                                                array_of(embedding.embedding),
                                                                array_of(w),
                                                                flat(beta)[0],
                                                                channels,
                                                                which} {}
};

/// A shuffled 0 ... count - 1, always the same.
std::vector<std::size_t> shuffled(std::size_t count, std::string_view name) {
  std::vector<std::size_t> list(count);
  std::iota(list.begin(), list.end(), std::size_t(0));
  Random const random(1, name);
  std::ranges::stable_sort(list, {}, [&](std::size_t i) { return random.normal(i); });
  return list;
}

template <class Space, class T, class Source>
void forward(Workspace<Space>& workspace, Way way, Source const& patches, Sum<Space, T> const& sum) {
  if (way.numbers > 0)
    return ops::detail::sum_by_products_forward(workspace, patches, sum.embedding, sum.w, sum.beta, sum.members, sum.y,
                                                way.numbers);
  if constexpr (runs_on_host<Space>)
    if (way.workers > 0)
      return ops::detail::sum_on_host_forward(workspace, ops::by_strides(patches), sum.embedding, sum.w, sum.beta,
                                              sum.members, sum.y, way.workers);
  ops::fused_sum_forward(workspace, patches, sum.embedding, sum.w, sum.beta, sum.members, sum.y);
}
template <class Space, class T, class Source, class DSource>
void backward(Workspace<Space>& workspace, Way way, Source const& patches, Sum<Space, T> const& sum,
              DSource const& d_patches) {
  if (way.numbers > 0)
    return ops::detail::sum_by_products_backward(workspace, patches, sum.embedding, sum.w, sum.members, sum.d_y,
                                                 sum.d_embedding, sum.d_w, sum.d_beta, d_patches, way.numbers);
  if constexpr (runs_on_host<Space>)
    if (way.workers > 0)
      return ops::detail::sum_on_host_backward(workspace, ops::by_strides(patches), sum.embedding, sum.w, sum.members,
                                               sum.d_y, sum.d_embedding, sum.d_w, sum.d_beta,
                                               ops::gradient_by_strides(patches, d_patches), way.workers);
  ops::fused_sum_backward(workspace, patches, sum.embedding, sum.w, sum.members, sum.d_y, sum.d_embedding, sum.d_w,
                          sum.d_beta, d_patches);
}

/// All ways give the reference's numbers. `gathered` (C, N, s) is what the patches are.
template <class Space, class T, class Source, class DSource>
void check_sum(Space const& exec, Sum<Space, T> const& sum, Source const& patches, DSource const& d_patches,
               reference::Array<3> const& gathered) {
  double const bound = tolerance<T>(1e-5, 1e-12);
  auto const expected_y = reference::sum_of_tokens(sum.expected, gathered);
  auto const expected = reference::sum_of_tokens_backward(sum.expected, gathered, array_of(sum.d_y));
  std::vector<std::vector<double>> const before{flat(sum.d_embedding.weight), flat(sum.d_embedding.bias),
                                                flat(sum.d_embedding.embedding), flat(sum.d_w), flat(sum.d_beta)};
  for (auto const& way : ways<Space>()) {
    CAPTURE(way.numbers);
    CAPTURE(way.workers);
    for (bool const image_wanted : {false, true}) {
      CAPTURE(image_wanted);
      assign(sum.d_embedding.weight, before[0]);
      assign(sum.d_embedding.bias, before[1]);
      assign(sum.d_embedding.embedding, before[2]);
      assign(sum.d_w, before[3]);
      assign(sum.d_beta, before[4]);
      Kokkos::deep_copy(sum.y, static_cast<T>(nan_value));
      auto const d_gathered = filled_tensor<typename DSource::value_type>(
          exec, {gathered.extents[0], gathered.extents[1], gathered.extents[2]}, nan_value);
      ops::scatter_patches(exec, d_gathered, d_patches);
      Kokkos::fence();
      Workspace<Space> workspace(exec);
      forward(workspace, way, patches, sum);
      if (image_wanted)
        backward(workspace, way, patches, sum, d_patches);
      else
        backward(workspace, way, patches, sum, no_gradient);
      exec.fence();
      CHECK(relative_error(sum.y, expected_y.values) < bound);
      CHECK(relative_error(sum.d_embedding.weight, sum_of(before[0], expected.d.weight.values)) < bound);
      CHECK(relative_error(sum.d_embedding.bias, sum_of(before[1], expected.d.bias.values)) < bound);
      CHECK(relative_error(sum.d_embedding.embedding, sum_of(before[2], expected.d.embedding.values)) < bound);
      CHECK(relative_error(sum.d_w, sum_of(before[3], expected.d.w.values)) < bound);
      // a sum of N D numbers of both signs, small beside them: an error counts as a share of what was added
      double const scale = std::sqrt(static_cast<double>(sum.d_y.size()));
      CHECK(std::fabs(flat(sum.d_beta)[0] - before[4][0] - expected.d.beta) / scale < bound);
      if (!image_wanted) continue;
      ops::gather_patches(exec, d_patches, d_gathered);
      exec.fence();
      CHECK(relative_error(d_gathered, expected.d_patches.values) < bound);
    }
  }
}

template <class Space, class T>
auto random_image(Space const& exec, Sizes const& sizes, std::size_t planes) {
  return random_tensor<T>(exec, 1, "image",
                          {sizes.samples, planes, sizes.rows * sizes.patch, sizes.columns * sizes.patch});
}

/// A whole image of as many planes as channels.
template <class Space, class T>
void check_sizes(Space const& exec, Sizes const& sizes, bool subset) {
  CAPTURE(sizes.C);
  CAPTURE(sizes.patch);
  CAPTURE(sizes.D);
  CAPTURE(subset);
  std::size_t const N = sizes.samples * sizes.rows * sizes.columns;
  CAPTURE(N);
  std::size_t const extra = subset ? 3 : 0;
  auto channels = shuffled(sizes.C + extra, "channels");
  auto members = shuffled(sizes.C + extra, "members");
  if (!subset) std::ranges::sort(channels); // one run of consecutive channels
  channels.resize(sizes.C);
  members.resize(sizes.C);
  std::size_t const s = sizes.patch * sizes.patch;
  Sum<Space, T> const sum(exec, N, sizes.D, s, sizes.C + extra, sizes.C + extra, channels, members);

  auto const image = random_image<Space, T>(exec, sizes, sizes.C);
  auto const d_image = filled_tensor<T>(exec, {image.extent(0), image.extent(1), image.extent(2), image.extent(3)}, 0);
  using Source = ops::Patches<Tensor<Space, T, 4>, typename Space::memory_space>;
  auto const values = array_of(image);
  check_sum(exec, sum, Source{image, sizes.patch, {}, {}}, Source{d_image, sizes.patch, {}, {}},
            reference::gather_patches(values, reference::whole(values, sizes.patch)));
}

/// Copies an image to a view of another layout or type.
template <class From, class To>
void copy_image(From const& from, To const& to) {
  auto const source = to_host(from);
  auto const host = Kokkos::create_mirror_view(to);
  for (std::size_t b = 0; b < to.extent(0); ++b)
    for (std::size_t c = 0; c < to.extent(1); ++c)
      for (std::size_t row = 0; row < to.extent(2); ++row)
        for (std::size_t column = 0; column < to.extent(3); ++column)
          host(b, c, row, column) = static_cast<typename To::value_type>(source(b, c, row, column));
  Kokkos::deep_copy(to, host);
}

} // namespace

TEST_CASE_TEMPLATE("the fused sum and its gradients are those of the definition", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Space const exec;
  for (auto const& sizes : {
           Sizes{1, 1, 1, 1, 1, 1},
           Sizes{1, 4, 48, 2, 5, 5},
           Sizes{2, 2, 8, 1, 1, 7},
           Sizes{5, 3, 48, 2, 5, 5},
           Sizes{37, 4, 48, 2, 5, 13},
           Sizes{130, 2, 100, 1, 5, 10},
           Sizes{600, 1, 48, 1, 1, 1},
           Sizes{600, 1, 8, 2, 5, 13},
           Sizes{37, 8, 100, 1, 1, 7},
           Sizes{5, 16, 100, 1, 5, 10},
           Sizes{2, 16, 8, 2, 5, 13},
           Sizes{130, 4, 1, 1, 1, 7},
           Sizes{5, 8, 200, 1, 1, 7},
           Sizes{3, 2, 8, 3, 19, 11}, // more positions than a tile has
           Sizes{2, 7, 20, 2, 3, 3},
       })
    for (bool const subset : {false, true}) check_sizes<Space, T>(exec, sizes, subset);
}

TEST_CASE_TEMPLATE("the fused sum reads images of every layout, chosen planes and positions", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  using Memory = typename Space::memory_space;
  Space const exec;
  std::size_t const D = 20;
  for (std::size_t const p : {1u, 3u, 4u}) {
    CAPTURE(p);
    Sizes const sizes{5, p, D, 3, 6, 4};
    auto const image = random_image<Space, T>(exec, sizes, sizes.C);
    auto const values = array_of(image);
    std::vector<std::size_t> const planes{4, 0, 2};
    std::vector<std::vector<std::size_t>> const positions{{23, 0, 5, 4}, {1, 2, 3, 22}, {7, 6, 12, 18}};
    auto const plane_list = index_tensor(exec, planes);
    auto const position_list = allocate<std::size_t>(exec, "dchag::test::positions", Extents<2>{3, 4});
    exec.fence();
    auto const host = to_host(position_list);
    for (std::size_t b = 0; b < 3; ++b)
      for (std::size_t i = 0; i < 4; ++i) host(b, i) = positions[b][i];
    Kokkos::deep_copy(position_list, host);

    auto const check = [&](auto const& view, auto const& d_view) {
      using Source = ops::Patches<std::decay_t<decltype(view)>, Memory>;
      using DSource = ops::Patches<std::decay_t<decltype(d_view)>, Memory>;
      Sum<Space, T> const all(exec, 72, D, p * p, 6, 7, {1, 2, 3, 5, 0}, {6, 0, 3, 5, 1});
      check_sum(exec, all, Source{view, p, {}, {}}, DSource{d_view, p, {}, {}},
                reference::gather_patches(values, reference::whole(values, p)));
      Sum<Space, T> const some(exec, 12, D, p * p, 6, 7, {3, 4, 0}, {6, 0, 3});
      check_sum(exec, some, Source{view, p, plane_list, position_list}, DSource{d_view, p, plane_list, position_list},
                reference::gather_patches(values, {p, planes, positions}));
    };
    std::size_t const H = 6 * p, W = 4 * p;
    Kokkos::View<T****, Kokkos::LayoutLeft, Memory> const left("dchag::test::left", 3, 5, H, W);
    copy_image(image, left);
    check(left, Kokkos::View<T****, Kokkos::LayoutLeft, Memory>("dchag::test::d_left", 3, 5, H, W));

    Kokkos::View<T****, Kokkos::LayoutRight, Memory> const around("dchag::test::around", 3, 5, H + 2, W + 2);
    Kokkos::View<T****, Kokkos::LayoutRight, Memory> const d_around("dchag::test::d_around", 3, 5, H + 2, W + 2);
    auto const inside = [&](auto const& view) {
      return Kokkos::subview(view, Kokkos::ALL, Kokkos::ALL, std::pair<std::size_t, std::size_t>(1, H + 1),
                             std::pair<std::size_t, std::size_t>(1, W + 1));
    };
    auto const wide = Kokkos::create_mirror_view(around);
    auto const dense = to_host(image);
    for (std::size_t b = 0; b < 3; ++b)
      for (std::size_t c = 0; c < 5; ++c)
        for (std::size_t row = 0; row < H; ++row)
          for (std::size_t column = 0; column < W; ++column) wide(b, c, row + 1, column + 1) = dense(b, c, row, column);
    Kokkos::deep_copy(around, wide);
    check(inside(around), inside(d_around));
  }
}

TEST_CASE_TEMPLATE("the fused sum reads pixels of another type", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  using Memory = typename Space::memory_space;
  Space const exec;
  Kokkos::View<short****, Kokkos::LayoutRight, Memory> const counts("dchag::test::counts", 2, 3, 8, 8);
  auto const host = Kokkos::create_mirror_view(counts);
  for (std::size_t i = 0; i < host.size(); ++i) host.data()[i] = static_cast<short>(i * 7 % 31) - 15;
  Kokkos::deep_copy(counts, host);
  Kokkos::View<double****, Kokkos::LayoutRight, Memory> const d_counts("dchag::test::d_counts", 2, 3, 8, 8);
  auto const values = array_of(counts);
  Sum<Space, T> const sum(exec, 8, 10, 16, 3, 3, {2, 0, 1}, {0, 2, 1});
  check_sum(exec, sum, ops::Patches<decltype(counts), Memory>{counts, 4, {}, {}},
            ops::Patches<decltype(d_counts), Memory>{d_counts, 4, {}, {}},
            reference::gather_patches(values, reference::whole(values, 4)));
}

TEST_CASE_TEMPLATE("the fused sum of no channels is beta, and of no positions nothing", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  using Source = ops::Patches<Tensor<Space, T, 4>, typename Space::memory_space>;
  Space const exec;
  for (auto const& way : ways<Space>()) {
    Workspace<Space> workspace(exec);
    Sum<Space, T> const nothing(exec, 4, 3, 4, 2, 2, {}, {});
    auto const d_w = flat(nothing.d_w);
    auto const d_beta = flat(nothing.d_beta)[0];
    Source const planeless{Tensor<Space, T, 4>("dchag::test::image", 1, 0, 4, 4), 2, {}, {}};
    forward(workspace, way, planeless, nothing);
    backward(workspace, way, planeless, nothing, planeless);
    exec.fence();
    CHECK(relative_error(nothing.y, std::vector<double>(12, nothing.expected.beta)) == 0);
    CHECK(relative_error(nothing.d_w, d_w) == 0);
    auto const d_y = flat(nothing.d_y);
    CHECK(flat(nothing.d_beta)[0] == doctest::Approx(std::accumulate(d_y.begin(), d_y.end(), d_beta)));

    Sum<Space, T> const nowhere(exec, 0, 3, 4, 2, 2, {0, 1}, {1, 0});
    auto const d_weight = flat(nowhere.d_embedding.weight);
    Source const empty{Tensor<Space, T, 4>("dchag::test::image", 0, 2, 4, 4), 2, {}, {}};
    forward(workspace, way, empty, nowhere);
    backward(workspace, way, empty, nowhere, no_gradient);
    exec.fence();
    CHECK(relative_error(nowhere.d_embedding.weight, d_weight) == 0);
  }
}

TEST_CASE_TEMPLATE("the fused sum allocates in its first step only", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  using Source = ops::Patches<Tensor<Space, T, 4>, typename Space::memory_space>;
  Space const exec;
  Sizes const sizes{7, 4, 30, 2, 5, 5};
  Sum<Space, T> const sum(exec, 50, sizes.D, 16, 9, 9, {8, 0, 1, 2, 5, 4, 7}, {3, 4, 5, 6, 8, 1, 0});
  Source const patches{random_image<Space, T>(exec, sizes, sizes.C), 4, {}, {}};
  Source const d_patches{random_image<Space, T>(exec, sizes, sizes.C), 4, {}, {}};
  for (auto const& way : ways<Space>()) {
    CAPTURE(way.numbers);
    CAPTURE(way.workers);
    Workspace<Space> workspace(exec);
    auto const step = [&] {
      forward(workspace, way, patches, sum);
      backward(workspace, way, patches, sum, d_patches);
      exec.fence();
    };
    step();
    { auto const frame = workspace.frame(); } // merges what the first step took in pieces
    AllocationCounter const counter;
    step();
    CHECK(counter.number() == 0);
  }
}

TEST_CASE_TEMPLATE("the fused sum on hosts does not depend on the number of workers", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  if constexpr (runs_on_host<Space>) {
    using Source = ops::Patches<Tensor<Space, T, 4>, typename Space::memory_space>;
    Space const exec;
    Sizes const sizes{6, 4, 200, 2, 7, 11};
    Sum<Space, T> const sum(exec, 154, sizes.D, 16, 6, 6, {0, 1, 2, 3, 5, 4}, {3, 4, 5, 2, 1, 0});
    Source const patches{random_image<Space, T>(exec, sizes, sizes.C), 4, {}, {}};
    Workspace<Space> workspace(exec);
    std::vector<double> y, d_weight, d_bias, d_embedding, d_w, d_beta;
    for (std::size_t const workers : {1u, 2u, 3u, 8u}) {
      Kokkos::deep_copy(sum.d_embedding.weight, T(0));
      for (auto const& offset : {sum.d_embedding.bias, sum.d_embedding.embedding}) Kokkos::deep_copy(offset, T(0));
      for (auto const& weight : {sum.d_w, sum.d_beta}) Kokkos::deep_copy(weight, T(0));
      forward(workspace, {0, workers}, patches, sum);
      backward(workspace, {0, workers}, patches, sum, no_gradient);
      exec.fence();
      if (workers == 1) {
        y = flat(sum.y);
        d_weight = flat(sum.d_embedding.weight);
        d_bias = flat(sum.d_embedding.bias);
        d_embedding = flat(sum.d_embedding.embedding);
        d_w = flat(sum.d_w);
        d_beta = flat(sum.d_beta);
      }
      CHECK(relative_error(sum.y, y) == 0);
      CHECK(relative_error(sum.d_embedding.weight, d_weight) == 0);
      CHECK(relative_error(sum.d_embedding.bias, d_bias) == 0);
      CHECK(relative_error(sum.d_embedding.embedding, d_embedding) == 0);
      CHECK(relative_error(sum.d_beta, d_beta) == 0);
      CHECK(relative_error(sum.d_w, d_w) < tolerance<T>(1e-6, 1e-14)); // put together from several tasks' shares
    }
  }
}

TEST_CASE_TEMPLATE("fused sum: wrong shapes are errors", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  using Source = ops::Patches<Tensor<Space, T, 4>, typename Space::memory_space>;
  Space const exec;
  Workspace<Space> workspace(exec);
  auto const source = [&](std::size_t planes, std::size_t edge, std::size_t p) {
    return Source{filled_tensor<T>(exec, {1, planes, edge, edge}, 0), p, {}, {}};
  };
  Way const chosen{0, 0};
  Sum<Space, T> sum(exec, 4, 3, 4, 2, 2, {0, 1}, {0, 1});
  CHECK_THROWS_WITH_AS(forward(workspace, chosen, source(3, 4, 2), sum),
                       "fused_sum_forward: patches of C = 3 channels, expected C = 2", ShapeError);
  CHECK_THROWS_WITH_AS(forward(workspace, chosen, source(2, 6, 3), sum),
                       "fused_sum_forward: patches of s = 9 pixels, expected s = 4", ShapeError);
  CHECK_THROWS_WITH_AS(forward(workspace, chosen, source(2, 6, 2), sum),
                       "fused_sum_forward: y is (4, 3), expected (9, 3)", ShapeError);
  CHECK_THROWS_WITH_AS(backward(workspace, chosen, source(2, 6, 2), sum, no_gradient),
                       "fused_sum_backward: d_y is (4, 3), expected (9, 3)", ShapeError);
  CHECK_THROWS_WITH_AS(backward(workspace, chosen, source(2, 4, 2), sum, source(3, 4, 2)),
                       "fused_sum_backward: image of d_patches is (1, 3, 4, 4), expected (1, 2, 4, 4)", ShapeError);
  sum.d_embedding.bias = filled_tensor<T>(exec, {3, 3}, 0);
  CHECK_THROWS_WITH_AS(backward(workspace, chosen, source(2, 4, 2), sum, no_gradient),
                       "fused_sum_backward: d_bias is (3, 3), expected (2, 3)", ShapeError);
  sum.members = index_tensor(exec, {0});
  CHECK_THROWS_WITH_AS(forward(workspace, chosen, source(2, 4, 2), sum),
                       "fused_sum_forward: members is (1), expected (2)", ShapeError);
}

} // namespace ops_fused_sum
