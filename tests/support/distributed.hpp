// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/comm/agree.hpp>
#include <dchag/parallel/tensor_parallel.hpp>

#include <support/aggregation.hpp>
#include <support/allocations.hpp>
#include <support/pmpi.hpp>
#include <support/sentence.hpp>
#include <support/spaces.hpp>

namespace dchag::test {

/// The planes of an image with all ranks' channels that a rank must bring.
inline std::vector<std::size_t> own_planes(Range own, std::size_t channels, Choice const& choice) {
  std::vector<std::size_t> planes;
  std::size_t const count = choice.channels.empty() ? channels : choice.channels.size();
  for (std::size_t plane = 0; plane < count; ++plane)
    if (own.contains(choice.channels.empty() ? plane : choice.channels[plane])) planes.push_back(plane);
  return planes;
}

/// Values of planes (B, C, s) that are given as one array.
inline std::vector<double> of_planes(std::vector<double> const& values, std::size_t B, std::size_t C,
                                     std::vector<std::size_t> const& planes) {
  std::size_t const s = values.size() / (B * C);
  std::vector<double> result;
  for (std::size_t b = 0; b < B; ++b)
    for (auto c : planes)
      for (std::size_t i = 0; i < s; ++i) result.push_back(values[(b * C + c) * s + i]);
  return result;
}

/// Whether these ranks start as one does, bit for bit; every rank holds its part of the one's parameters.
template <class Distributed, class One>
bool starts_as(Distributed& distributed, One& one) {
  return values_of(distributed) == part_of(values_of(one), distributed);
}

/// A step of all ranks on their own planes gives what one rank gives on all planes: its output, the gradient of its
/// image and of its parameters, as far as a rank holds them. Both models get the same random values; where one module
/// follows another, about 1 / sqrt(D) keeps tokens and logits of size 1.
template <class Distributed, class One, class T = typename Distributed::value_type>
void check_equals_one(Distributed& distributed, One& one, std::array<std::size_t, 4> const& extents,
                      Choice const& choice = {}, double deviation = 0.5) {
  using Space = typename Distributed::execution_space;
  Space const exec;
  Workspace<Space> workspace(exec);
  randomize(distributed, deviation);
  randomize(one, deviation);
  auto const image = random_tensor<T>(exec, 8, "image", extents);
  auto const planes = own_planes(distributed.own_channels(), distributed.config().channels, choice);
  auto found = step_of(workspace, distributed, planes_of(exec, image, planes), choice);
  comm::Communicator const world;
  parallel::sum_partial_gradients(workspace, world, distributed);
  found.d_weights = gradients_of(distributed);
  auto const expected = step_of(workspace, one, image, choice);
  double const rounding = tolerance<T>(1e-5, 1e-12);
  CHECK(relative_error(found.y, expected.y) < rounding);
  CHECK(relative_error(found.d_image, of_planes(expected.d_image, extents[0], extents[1], planes)) < rounding);
  CHECK(worst_error(found.d_weights, part_of(expected.d_weights, distributed)) < rounding);
}

/// What a forward and a backward pass send.
struct StepTraffic {
  std::size_t gathers, bytes_gathered; // forward
  std::size_t calls_forward, calls_backward;
  std::size_t bytes_forward, bytes_backward; // that this rank gives
};

/// Of the second step on this context, of which the first may allocate; checks that the third allocates nothing.
template <class Distributed, class T = typename Distributed::value_type>
StepTraffic traffic_of(Distributed& distributed, std::size_t positions, std::array<std::size_t, 4> const& extents) {
  using Space = typename Distributed::execution_space;
  Space const exec;
  Workspace<Space> workspace(exec);
  typename Distributed::Context context;
  auto const image = random_tensor<T>(exec, 8, "image", extents);
  auto const y = filled_tensor<T>(exec, {extents[0], positions, distributed.config().width}, 0);
  auto const step = [&] {
    distributed.forward(workspace, context, image, y);
    distributed.backward(workspace, context, image, y, no_gradient);
    exec.fence();
  };
  step();
  step();
  support::CommCount const forward;
  distributed.forward(workspace, context, image, y);
  StepTraffic traffic{forward.calls("MPI_Allgather"), forward.bytes_sent("MPI_Allgather"),
                      forward.total_calls(),          0,
                      forward.total_bytes_sent(),     0};
  support::CommCount const backward;
  distributed.backward(workspace, context, image, y, no_gradient);
  exec.fence();
  traffic.calls_backward = backward.total_calls();
  traffic.bytes_backward = backward.total_bytes_sent();
  AllocationCounter const allocations;
  step();
  CHECK(allocations.number() == 0);
  return traffic;
}

/// On how many ranks this holds.
inline int ranks_where(comm::Communicator const& communicator, bool verdict) {
  return comm::all_reduce(communicator, verdict ? 1 : 0, comm::Reduce::sum);
}

} // namespace dchag::test
