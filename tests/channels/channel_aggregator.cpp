// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <support/aggregation.hpp>
#include <support/sentence.hpp>
#include <support/spaces.hpp>

namespace channels_channel_aggregator {

using namespace dchag;
using namespace dchag::test;

namespace {

/// to = from, of any two layouts.
template <class Space, class From, class To>
void copy_pixels(Space const& exec, From const& from, To const& to) {
  std::size_t const H = from.extent(2);
  std::size_t const W = from.extent(3);
  std::size_t const C = from.extent(1);
  for_each_element(
      exec, "dchag::test::copy_pixels", from.extent(0) * C, H * W, KOKKOS_LAMBDA(std::size_t row, std::size_t pixel) {
        to(row / C, row % C, pixel / W, pixel % W) = from(row / C, row % C, pixel / W, pixel % W);
      });
}

/// A step on pixels that lie as `pixels` and `d_pixels` do, which are written to.
template <class Aggregator, class Space, class Pixels>
StepResult step_in_layout(Workspace<Space>& workspace, Aggregator& aggregator,
                          Tensor<Space, typename Aggregator::value_type, 4> const& image, Pixels const& pixels,
                          Pixels const& d_pixels) {
  using T = typename Aggregator::value_type;
  auto const& exec = workspace.exec();
  copy_pixels(exec, image, pixels);
  typename Aggregator::Context context;
  std::size_t const p = aggregator.config().patch;
  std::size_t const positions = image.extent(2) / p * (image.extent(3) / p);
  using ConstPixels = Kokkos::View<typename Pixels::const_data_type, typename Pixels::array_layout,
                                   typename Pixels::device_type, typename Pixels::memory_traits>;
  auto result = step_of(workspace, aggregator, context, Image{ConstPixels(pixels)}, positions, d_pixels);
  auto const d_image = allocate<T>(exec, "dchag::test::d_image", extents_of(image));
  copy_pixels(exec, d_pixels, d_image);
  exec.fence();
  result.d_image = flat(d_image);
  return result;
}

/// The numbers of some channels, of a parameter with equally many for each.
std::vector<double> of_channels(std::vector<double> const& values, std::size_t count,
                                std::vector<std::size_t> const& channels) {
  auto const each = static_cast<std::ptrdiff_t>(values.size() / count);
  std::vector<double> result;
  for (auto c : channels) {
    auto const begin = values.begin() + static_cast<std::ptrdiff_t>(c) * each;
    result.insert(result.end(), begin, begin + each);
  }
  return result;
}

/// Whether a parameter of a flat aggregation has numbers for each channel.
bool is_of_channels(std::string const& name) {
  return name.rfind("tokenizer.", 0) == 0 || name == "tree.level0.module0.weight";
}

/// A model that knows only some channels, with the weights that a larger one has for them.
template <class Tree, class Case>
void check_subset_is_a_smaller_model() {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Space const exec;
  Workspace<Space> workspace(exec);
  std::vector<std::size_t> const channels{6, 0, 4, 5};
  std::vector<std::size_t> const ascending{0, 4, 5, 6};
  AggregatorConfig config{.channels = 9, .patch = 2, .width = 8, .heads = 2};
  ChannelAggregator<Space, T, Tree> whole(exec, config);
  config.channels = 4;
  ChannelAggregator<Space, T, Tree> part(exec, config);
  randomize(whole);
  auto const weights = values_of(whole);
  part.for_each_parameter([&](auto& parameter) {
    auto const& values = weights.at(parameter.name());
    assign(parameter.values(), is_of_channels(parameter.name()) ? of_channels(values, 9, ascending) : values);
  });
  auto const image = random_tensor<T>(exec, 3, "image", {2, 4, 4, 6});
  auto const found = step_of(workspace, whole, image, {.channels = channels});
  auto const expected = step_of(workspace, part, planes_of(exec, image, {1, 2, 3, 0}));

  double const rounding = tolerance<T>(1e-6, 1e-14);
  CHECK(relative_error(found.y, expected.y) < rounding);
  for (auto const& entry : found.d_weights) {
    auto const& name = entry.first;
    auto const& gradients = entry.second;
    CAPTURE(name);
    auto const& expected_gradients = expected.d_weights.at(name);
    if (!is_of_channels(name)) {
      CHECK(relative_error(gradients, expected_gradients) < rounding);
      continue;
    }
    CHECK(relative_error(of_channels(gradients, 9, ascending), expected_gradients) < rounding);
    CHECK(largest_of(of_channels(gradients, 9, {1, 2, 3, 7, 8})) == 0); // absent
  }
}

} // namespace

TEST_CASE_TEMPLATE("ChannelAggregator: with the zero query the output is W_o W_v mean x + b_o", Case,
                   DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Space const exec;
  Workspace<Space> workspace(exec);
  std::size_t const C = 5, D = 8, N = 12;
  ChannelAggregator<Space, T> aggregator(exec, {.channels = C, .patch = 1, .width = D, .heads = 4});
  auto weights = values_of(aggregator);
  CHECK(largest_of(weights.at("tree.level0.module0.query")) == 0);
  aggregator.for_each_parameter([&](auto& parameter) { // all but the query
    if (parameter.name() == "tree.level0.module0.query") return;
    std::vector<double> values(parameter.size());
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = Random(1, parameter.name()).normal(i);
    assign(parameter.values(), values);
  });
  weights = values_of(aggregator);
  auto const image = random_tensor<T>(exec, 1, "image", {1, C, 3, 4});
  auto const found = step_of(workspace, aggregator, image).y;

  auto const pixels = flat(image);
  std::vector<double> expected;
  for (std::size_t n = 0; n < N; ++n) {
    std::vector<double> mean(D);
    std::vector<double> value(D);
    for (std::size_t c = 0; c < C; ++c)
      for (std::size_t j = 0; j < D; ++j)
        mean[j] += (weights["tokenizer.weight"][c * D + j] * pixels[c * N + n] + weights["tokenizer.bias"][c * D + j] +
                    weights["tokenizer.embedding"][c * D + j]) /
                   static_cast<double>(C);
    for (std::size_t i = 0; i < D; ++i)
      for (std::size_t j = 0; j < D; ++j) value[i] += weights["tree.level0.module0.v.weight"][i * D + j] * mean[j];
    for (std::size_t i = 0; i < D; ++i) {
      double y = weights["tree.level0.module0.out.bias"][i];
      for (std::size_t j = 0; j < D; ++j) y += weights["tree.level0.module0.out.weight"][i * D + j] * value[j];
      expected.push_back(y);
    }
  }
  CHECK(relative_error(found, expected) < tolerance<T>(1e-5, 1e-13));
}

TEST_CASE_TEMPLATE("ChannelAggregator: reads images of any layout and stride", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  using Memory = typename Space::memory_space;
  Space const exec;
  Workspace<Space> workspace(exec);
  ChannelAggregator<Space, T> aggregator(exec, {.channels = 3, .patch = 2, .width = 8, .heads = 2});
  randomize(aggregator);
  auto const image = random_tensor<T>(exec, 4, "image", {2, 3, 4, 6});
  auto const expected = step_of(workspace, aggregator, image);

  auto const check = [&](auto const& pixels, auto const& d_pixels) {
    auto const found = step_in_layout(workspace, aggregator, image, pixels, d_pixels);
    CHECK(relative_error(found.y, expected.y) == 0);
    CHECK(relative_error(found.d_image, expected.d_image) == 0);
    CHECK(worst_error(found.d_weights, expected.d_weights) == 0);
  };
  using Left = Kokkos::View<T****, Kokkos::LayoutLeft, Memory>;
  check(Left("dchag::test::left", 2, 3, 4, 6), Left("dchag::test::d_left", 2, 3, 4, 6));
  auto const inner = [](Tensor<Space, T, 4> const& large) {
    return Kokkos::subview(large, Kokkos::ALL, std::pair<int, int>(1, 4), std::pair<int, int>(2, 6),
                           std::pair<int, int>(1, 7));
  };
  auto const d_large = filled_tensor<T>(exec, {2, 5, 7, 9}, 42);
  check(inner(filled_tensor<T>(exec, {2, 5, 7, 9}, nan_value)), inner(d_large));
  auto const around = flat(d_large); // what is outside of the subview is left alone
  CHECK(std::ranges::count(around, 42.0) == 2 * (5 * 7 * 9 - 3 * 4 * 6));
}

TEST_CASE_TEMPLATE("ChannelAggregator: a subset of the channels is the model that sees only those", Case,
                   DCHAG_TEST_CASES) {
  check_subset_is_a_smaller_model<Tree<CrossAttention>, Case>();
  check_subset_is_a_smaller_model<Tree<Linear>, Case>();
}

TEST_CASE_TEMPLATE("ChannelAggregator: the order of the planes does not matter", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Space const exec;
  Workspace<Space> workspace(exec);
  ChannelAggregator<Space, T> aggregator(exec, {.channels = 5, .patch = 2, .width = 8, .heads = 2});
  randomize(aggregator);
  auto const image = random_tensor<T>(exec, 5, "image", {2, 5, 2, 4});
  auto const expected = step_of(workspace, aggregator, image);
  std::vector<std::size_t> const order{3, 1, 4, 0, 2};
  auto const shuffled = planes_of(exec, image, order);
  auto const found = step_of(workspace, aggregator, shuffled, {.channels = order});
  CHECK(relative_error(found.y, expected.y) == 0);
  CHECK(worst_error(found.d_weights, expected.d_weights) == 0);
  auto const d_image = filled_tensor<T>(exec, {2, 5, 2, 4}, 0);
  assign(d_image, expected.d_image);
  CHECK(relative_error(found.d_image, planes_of(exec, d_image, order)) == 0);
}

TEST_CASE_TEMPLATE("ChannelAggregator: a context serves one list of channels after another", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Space const exec;
  Workspace<Space> workspace(exec);
  ChannelAggregator<Space, T> aggregator(exec, {.channels = 5, .patch = 2, .width = 8, .heads = 2});
  randomize(aggregator);
  typename ChannelAggregator<Space, T>::Context context;
  std::vector<std::vector<std::size_t>> const lists{{}, {2}, {4, 0, 1}, {}, {0, 1, 4}};
  for (auto const& list : lists) {
    std::size_t const planes = list.empty() ? 5 : list.size();
    auto const pixels = random_tensor<T>(exec, 6, "image", {1, planes, 4, 2});
    auto const d_pixels = filled_tensor<T>(exec, {1, planes, 4, 2}, 0);
    auto const found = step_of(workspace, aggregator, context, Image{pixels, std::span(list)}, 2, d_pixels);
    auto const expected = step_of(workspace, aggregator, pixels, {.channels = list});
    CHECK(relative_error(found.y, expected.y) == 0);
    CHECK(worst_error(found.d_weights, expected.d_weights) == 0);
    CHECK(relative_error(d_pixels, expected.d_image) == 0);
  }
}

// A defect of the published implementation: one attention path mixed the axes of batch and tokens.
TEST_CASE_TEMPLATE("ChannelAggregator: samples do not see each other", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Space const exec;
  Workspace<Space> workspace(exec);
  ChannelAggregator<Space, T, Tree<CrossAttention, 2>> aggregator(exec,
                                                                  {.channels = 5, .patch = 2, .width = 8, .heads = 2});
  randomize(aggregator);
  auto const image = random_tensor<T>(exec, 7, "image", {3, 5, 4, 4});
  auto const pixels = flat(image);
  auto const before = step_of(workspace, aggregator, image).y;
  std::size_t const sample = pixels.size() / 3;
  std::size_t const row = before.size() / 3; // of one sample in the output

  auto turned = pixels; // samples 0 1 2 -> 2 0 1
  std::rotate(turned.begin(), turned.begin() + static_cast<std::ptrdiff_t>(2 * sample), turned.end());
  assign(image, turned);
  auto expected = before;
  std::rotate(expected.begin(), expected.begin() + static_cast<std::ptrdiff_t>(2 * row), expected.end());
  CHECK(relative_error(step_of(workspace, aggregator, image).y, expected) == 0);

  auto changed = pixels;
  for (std::size_t i = sample; i < 2 * sample; ++i) changed[i] += 1;
  assign(image, changed);
  auto const after = step_of(workspace, aggregator, image).y;
  for (std::size_t i = 0; i < before.size(); ++i) CHECK((after[i] == before[i]) == (i / row != 1));
}

TEST_CASE("ChannelAggregator: says what does not fit") {
  using Space = Kokkos::DefaultHostExecutionSpace;
  using Aggregator = ChannelAggregator<Space, float>;
  Space const exec;
  auto const make = [&](AggregatorConfig const& config) {
    return sentence_of<ShapeError>([&] { Aggregator(exec, config); });
  };
  CHECK(make({.channels = 3, .patch = 2, .width = 10, .heads = 4}) ==
        "CrossAttention: 'tree.level0.module0' has width D = 10, expected a multiple of its heads h = 4");
  CHECK(make({.channels = 3, .patch = 2, .width = 10, .heads = 0}) != "");
  CHECK(make({.channels = 0, .patch = 2, .width = 8, .heads = 4}) ==
        "Tokenizer: channels C = 0, patch edge p = 2, width D = 8, expected at least 1 each");
  CHECK(make({.channels = 3, .patch = 0, .width = 8, .heads = 4}) != "");
  CHECK(make({.channels = 3, .patch = 2, .width = 0, .heads = 4}) != "");

  Aggregator const aggregator(exec, {.channels = 3, .patch = 2, .width = 8, .heads = 2});
  Workspace<Space> workspace(exec);
  Aggregator::Context context;
  Tensor<Space, float, 3> const y("y", 1, 6, 8);
  std::size_t const list[] = {2, 3};
  std::size_t const twice[] = {2, 0, 2};
  auto const forward = [&](auto const& image) {
    return sentence_of<ShapeError>([&] { aggregator.forward(workspace, context, image, y); });
  };
  using Pixels = Tensor<Space, float, 4>;
  CHECK(forward(Pixels("image", 1, 3, 4, 6)) == "");
  CHECK(forward(Pixels("image", 1, 4, 4, 6)) == "Tokenizer::forward: image has C = 4, expected C = 3");
  CHECK(forward(Pixels("image", 1, 3, 4, 5)) == "Tokenizer::forward: image of 1 x 4 x 5 (B x H x W), expected at least "
                                                "one sample and multiples of the patch edge p = 2");
  CHECK(forward(Pixels("image", 0, 3, 4, 6)) != "");
  CHECK(forward(Pixels("image", 1, 3, 0, 6)) != "");
  CHECK(forward(Pixels("image", 2, 3, 4, 6)) == "ChannelAggregator::forward: y is (1, 6, 8), expected (2, 6, 8)");
  CHECK(forward(Image{Pixels("image", 1, 2, 4, 6), std::span(list)}) ==
        "Image: plane 1 is channel 3, expected less than C = 3");
  CHECK(forward(Image{Pixels("image", 1, 3, 4, 6), std::span(twice)}) ==
        "Image: channel 2 comes twice, the second time as plane 2");
  CHECK(forward(Image{Pixels("image", 1, 2, 4, 6), std::span(list).first(1)}) ==
        "Tokenizer::forward: image has C = 2, expected C = 1");
  Image<Pixels> const positions{Pixels("image", 1, 3, 4, 6), {}, Tensor<Space, std::size_t, 2>("positions", 2, 6)};
  CHECK(forward(positions) == "Tokenizer::forward: positions for 2 samples, expected B = 1");
  CHECK(forward(Pixels("image", 1, 3, 4, 6)) == ""); // none of this has harmed the context
}

TEST_CASE("ChannelAggregator: starts from the documented values") {
  using Space = Kokkos::DefaultHostExecutionSpace;
  ChannelAggregator<Space, double, MixedTree<Level<CrossAttention, 2>, Level<Linear, 1>>> aggregator(
      Space(), {.channels = 5, .patch = 2, .width = 64, .heads = 2, .seed = 3});
  auto weights = values_of(aggregator);
  auto const deviation = [](std::vector<double> const& values) {
    return std::sqrt(dot(values, values) / static_cast<double>(values.size()));
  };
  // a normal distribution cut at 2 deviations has 0.88 of its deviation
  CHECK(largest_of(weights.at("tokenizer.weight")) <= 2 * 0.5); // 1 / p
  CHECK(deviation(weights.at("tokenizer.weight")) == doctest::Approx(0.88 * 0.5).epsilon(0.05));
  double const glorot = std::sqrt(2.0 / (64 + 64));
  CHECK(largest_of(weights.at("tree.level0.module1.k.weight")) <= 2 * glorot);
  CHECK(deviation(weights.at("tree.level0.module1.k.weight")) == doctest::Approx(0.88 * glorot).epsilon(0.05));
  CHECK(largest_of(weights.at("tokenizer.bias")) <= 0.5);
  CHECK(deviation(weights.at("tokenizer.bias")) == doctest::Approx(0.5 / std::sqrt(3)).epsilon(0.1));
  CHECK(largest_of(weights.at("tree.level0.module0.query")) == 0);
  CHECK(largest_of(weights.at("tree.level0.module0.out.bias")) == 0);
  CHECK(weights.at("tree.level1.module0.weight") == std::vector<double>{0.5, 0.5});
  auto const& embedding = weights.at("tokenizer.embedding");
  for (std::size_t c = 0; c < 5; ++c) {
    for (std::size_t j = 0; j < 32; ++j) {
      double const angle = static_cast<double>(c) * std::pow(10000.0, -static_cast<double>(j) / 32);
      CHECK(embedding[c * 64 + j] == doctest::Approx(std::sin(angle)));
      CHECK(embedding[c * 64 + 32 + j] == doctest::Approx(std::cos(angle)));
    }
  }
  CHECK(weights.at("tree.level0.module0.k.weight") != weights.at("tree.level0.module1.k.weight"));
}

} // namespace channels_channel_aggregator
