// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause

// An encoder whose ranks share its heads, features and rows computes what one rank does.
#include <dchag/models/encoder.hpp>

#include <support/distributed.hpp>

namespace parallel_encoder {

using namespace dchag;
using namespace dchag::test;
using parallel::SequenceParallel;
using parallel::TensorParallel;
using support::CommCount;

namespace {

constexpr Grid grid{3, 5};
constexpr std::size_t width = 24;
constexpr std::size_t heads = 8;
constexpr std::size_t depth = 2;

EncoderConfig config(bool recompute = false, double dropout = 0) {
  return {.grid = grid,
          .width = width,
          .depth = depth,
          .heads = heads,
          .mlp_ratio = 2,
          .dropout = dropout,
          .recompute = recompute,
          .norm_epsilon = 0.1}; // large enough to show if a form forgets it
}

/// Some positions of the grid for each sample.
template <class Space>
auto some_positions(Space const& exec, std::size_t samples, std::size_t tokens) {
  std::vector<std::size_t> list;
  for (std::size_t i = 0; i < samples * tokens; ++i) list.push_back((i * 7 + i / tokens) % grid.positions());
  return index_tensor(exec, list);
}

struct Result {
  std::vector<double> y, d_x;
  Numbers gradients;
};

template <class Space, class T, class Form>
Result step(Encoder<Space, T, Form>& encoder, comm::Communicator const& tensor, std::size_t samples,
            std::size_t tokens) {
  Space const exec;
  Workspace<Space> workspace(exec);
  typename Encoder<Space, T, Form>::Context context;
  context.dropout = {.training = true, .step = 7, .first_sample = 3};
  auto const x = random_tensor<T>(exec, 1, "x", {samples, tokens, width});
  auto const d_y = random_tensor<T>(exec, 1, "d_y", {samples, tokens, width});
  auto const y = filled_tensor<T>(exec, {samples, tokens, width}, nan_value);
  auto const d_x = filled_tensor<T>(exec, {samples, tokens, width}, nan_value);
  auto const positions = some_positions(exec, samples, tokens);
  clear_gradients(exec, encoder);
  encoder.forward(workspace, context, x, positions, y);
  encoder.backward(workspace, context, positions, d_y, d_x);
  parallel::sum_partial_gradients(workspace, tensor, encoder);
  exec.fence();
  return {flat(y), flat(d_x), gradients_of(encoder)};
}

template <class Case, class Form>
void check_equals_one(bool recompute, double dropout = 0) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Space const exec;
  comm::Communicator const world;
  Encoder<Space, T> one(exec, "encoder", config(recompute, dropout), 3);
  Encoder<Space, T, Form> shared(exec, "encoder", config(recompute, dropout), 3, Form(world));
  CHECK(starts_as(shared, one));
  randomize(one, 0.2);
  randomize(shared, 0.2);
  double const bound = tolerance<T>(1e-5, 1e-12);
  for (auto const& [samples, tokens] : {std::pair<std::size_t, std::size_t>(2, 7), {1, 15}, {1, 2}}) {
    CAPTURE(samples);
    CAPTURE(tokens);
    auto const expected = step(one, world, samples, tokens);
    auto const found = step(shared, world, samples, tokens);
    CHECK(relative_error(found.y, expected.y) < bound);
    CHECK(relative_error(found.d_x, expected.d_x) < bound);
    CHECK(worst_error(found.gradients, part_of(expected.gradients, shared)) < bound);
  }
}

/// Calls and bytes that this rank gives, forward and backward.
struct Traffic {
  std::size_t calls[2], bytes[2];
  friend bool operator==(Traffic const&, Traffic const&) = default;
};

template <class Form>
Traffic traffic_of(std::size_t samples, std::size_t tokens) {
  using Space = Kokkos::DefaultExecutionSpace;
  Space const exec;
  comm::Communicator const world;
  Workspace<Space> workspace(exec);
  Encoder<Space, float, Form> encoder(exec, "encoder", config(), 3, Form(world));
  typename Encoder<Space, float, Form>::Context context;
  auto const x = random_tensor<float>(exec, 1, "x", {samples, tokens, width});
  auto const positions = some_positions(exec, samples, tokens);
  auto const forward = [&] { encoder.forward(workspace, context, x, positions, x); };
  auto const backward = [&] { encoder.backward(workspace, context, positions, x, x); };
  forward();
  backward();
  forward();
  backward();
  CommCount const first;
  forward();
  Traffic traffic{{first.total_calls(), 0}, {first.total_bytes_sent(), 0}};
  CommCount const second;
  backward();
  traffic.calls[1] = second.total_calls();
  traffic.bytes[1] = second.total_bytes_sent();
  AllocationCounter const allocations;
  forward();
  backward();
  exec.fence();
  CHECK(allocations.number() == 0);
  return traffic;
}

} // namespace

TEST_CASE_TEMPLATE("an encoder shared by heads and features equals one", Case, DCHAG_TEST_CASES) {
  check_equals_one<Case, TensorParallel>(false);
  check_equals_one<Case, TensorParallel>(true);
}

TEST_CASE_TEMPLATE("an encoder shared by positions too equals one", Case, DCHAG_TEST_CASES) {
  check_equals_one<Case, SequenceParallel>(false);
  check_equals_one<Case, SequenceParallel>(true);
}

TEST_CASE_TEMPLATE("shared encoders drop the same numbers as one", Case, DCHAG_TEST_CASES) {
  check_equals_one<Case, TensorParallel>(false, 0.3);
  check_equals_one<Case, SequenceParallel>(true, 0.3);
}

TEST_CASE("the gradient of an encoder that drops numbers is that of what it computed") {
  using Space = Kokkos::DefaultExecutionSpace;
  Space const exec;
  Workspace<Space> workspace(exec);
  Encoder<Space, double> encoder(exec, "encoder", config(false, 0.4), 3);
  randomize(encoder, 0.2);
  Encoder<Space, double>::Context context;
  context.dropout = {.training = true, .step = 2, .first_sample = 1};
  auto const x = random_tensor<double>(exec, 1, "x", {2, 5, width});
  auto const v = random_tensor<double>(exec, 1, "v", {2, 5, width});
  auto const d_y = random_tensor<double>(exec, 1, "d_y", {2, 5, width});
  auto const y = filled_tensor<double>(exec, {2, 5, width}, 0);
  auto const d_x = filled_tensor<double>(exec, {2, 5, width}, 0);
  auto const positions = some_positions(exec, 2, 5);
  auto const dot = [](std::vector<double> const& a, std::vector<double> const& b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
    return sum;
  };
  auto const start = flat(x);
  auto const direction = flat(v);
  auto const value = [&](double t) {
    auto moved = start;
    for (std::size_t i = 0; i < moved.size(); ++i) moved[i] += t * direction[i];
    assign(x, moved);
    encoder.forward(workspace, context, x, positions, y);
    exec.fence();
    return dot(flat(y), flat(d_y));
  };
  double const h = 1e-5;
  double const slope = (value(h) - value(-h)) / (2 * h);
  double const kept = value(0);
  encoder.backward(workspace, context, positions, d_y, d_x);
  exec.fence();
  CHECK(dot(flat(d_x), direction) == doctest::Approx(slope).epsilon(1e-7));
  context.dropout.training = false;
  CHECK(value(0) != kept);
}

TEST_CASE("what a step of a shared encoder sends is what the documentation says") {
  comm::Communicator const world;
  for (std::size_t const tokens : {std::size_t{15}, std::size_t{12}}) {
    std::size_t const row = width * sizeof(float);
    std::size_t const all = 2 * tokens * row;
    std::size_t const own = comm::own_part(world, 2 * tokens).size() * row;
    bool const alone = world.size() == 1;
    auto const tensor = traffic_of<TensorParallel>(2, tokens);
    auto const sequence = traffic_of<SequenceParallel>(2, tokens);
    CHECK(tensor == (alone ? Traffic{} : Traffic{{2 * depth, 2 * depth}, {2 * depth * all, 2 * depth * all}}));
    CHECK(sequence == (alone ? Traffic{}
                             : Traffic{{4 * depth + 1, 6 * depth + 1},
                                       {2 * depth * (all + own) + own, 2 * depth * (all + 2 * own) + own}}));
  }
}

TEST_CASE("an encoder whose heads or features the ranks cannot share is refused on all of them") {
  using Space = Kokkos::DefaultExecutionSpace;
  comm::Communicator const world;
  if (world.size() == 1) return;
  auto bad = config();
  bad.heads = 3;
  CHECK_THROWS_WITH_AS(
      (Encoder<Space, float, TensorParallel>(Space(), "encoder", bad, 3, TensorParallel(world))),
      concat("TensorParallel: 'encoder.block0' has 3 heads, expected a multiple of the tensor-parallel ranks P = ",
             world.size())
          .c_str(),
      ShapeError);
}

} // namespace parallel_encoder
