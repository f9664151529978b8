// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/parallel/data_parallel.hpp>

#include <numeric>
#include <support/replicas.hpp>
#include <support/traffic.hpp>

namespace parallel_traffic {

using namespace dchag;
using namespace dchag::test;
using parallel::Sharding;

namespace {

/// The sizes of units of parameters of these sizes, as documented; the last are those of no unit.
template <class T>
std::vector<std::size_t> padded_sizes(std::size_t S) {
  using Model = UnitModel<Kokkos::DefaultExecutionSpace, T>;
  auto const up = [](std::size_t count, std::size_t multiple) { return (count + multiple - 1) / multiple * multiple; };
  std::vector<std::size_t> sizes;
  for (std::size_t i = 0; i < Model::depth; ++i) {
    std::size_t const weight = Model::widths[i] * Model::widths[i + 1];
    sizes.push_back(up(i + 1 < Model::depth ? up(weight, 64 / sizeof(T)) + Model::widths[i + 1] : weight, S));
  }
  sizes.push_back(up(Model::widths[0], S));
  return sizes;
}

std::size_t total(std::vector<std::size_t> const& sizes, std::size_t begin, std::size_t end) {
  return std::accumulate(sizes.begin() + static_cast<std::ptrdiff_t>(begin),
                         sizes.begin() + static_cast<std::ptrdiff_t>(end), std::size_t{0});
}

} // namespace

TEST_CASE_TEMPLATE("a step sends what the documentation says", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  comm::Communicator const world;
  constexpr bool staged = comm::detail::needs_staging<Tensor<Space, T, 1>>;
  constexpr bool at_once = comm::detail::reduces_at_once<Tensor<Space, T, 1>>;
  for (auto const& shape : mesh_shapes(world.size()))
    for (auto const policy : all_shardings)
      for (std::size_t const K : {1u, 3u}) {
        auto const sharding = effective(policy, shape);
        CAPTURE(shape.shard);
        CAPTURE(shape.data);
        CAPTURE(static_cast<int>(sharding));
        CAPTURE(K);
        std::vector<UnitSize> units;
        for (auto const size : padded_sizes<T>(sharding == Sharding::none ? 1 : static_cast<std::size_t>(shape.shard)))
          units.push_back({size});
        Replica<Space, T> replica(world, shape, policy);
        replica.gradients(K);
        replica.training.values_changed();
        support::CommCount const count;
        replica.gradients(K);
        replica.training.values_changed();
        CHECK(Traffic(count) == sharding_traffic<T, staged, at_once>(replica.mesh, sharding, units, K));
        support::CommCount const norm;
        gradient_norm(replica.exec, replica.training, replica.training.gradient_sum());
        CHECK(Traffic(norm) == clipping_traffic(replica.mesh));
      }
}

TEST_CASE_TEMPLATE("a rank holds what the documentation says", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  comm::Communicator const world;
  for (auto const& shape : mesh_shapes(world.size()))
    for (auto const policy : all_shardings) {
      auto const sharding = effective(policy, shape);
      CAPTURE(shape.shard);
      CAPTURE(static_cast<int>(sharding));
      auto const S = static_cast<std::size_t>(shape.shard);
      auto const sizes = padded_sizes<T>(sharding == Sharding::none ? 1 : S);
      std::size_t const n = sizes.size() - 1;
      std::size_t const R = sizes.back(), N = total(sizes, 0, n + 1), U = *std::max_element(sizes.begin(), sizes.end());
      AllocationCounter const counter;
      Replica<Space, T> replica(world, shape, policy);
      replica.step();
      // Kokkos rounds every allocation up to 8 bytes
      auto const holds = [&](char const* label, std::size_t numbers) {
        auto const found = counter.of_prefix(label);
        return numbers * sizeof(T) <= found.live && found.live < numbers * sizeof(T) + 8 * found.number + 1;
      };
      std::size_t const whole = sharding == Sharding::full ? (N - R) / S + R : N;
      std::size_t const pool = sharding == Sharding::full ? 2 * U : 0;
      CHECK(holds("dchag::parameter::", whole));
      CHECK(holds("dchag::gradient::", whole));
      CHECK(holds("dchag::parallel::gathered_values", pool));
      CHECK(holds("dchag::parallel::whole_gradients", pool));
      CHECK(holds("dchag::parallel::summed_gradients", (sharding == Sharding::none ? 0 : 2 * U / S)));
      std::size_t const own = parameter_count(replica.training);
      CHECK(holds("dchag::train::", 2 * own));
      CHECK(own <= (sharding == Sharding::none ? N : N / S));
    }
}

} // namespace parallel_traffic
