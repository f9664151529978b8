// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/dchag.hpp>

#include <cstdio>

// What a user of the library does first, from outside: aggregates 10 channels, once alone and once in 2 groups, and
// prints "a token of 8 features, 0 of 120 values are not finite" twice.
using Space = Kokkos::DefaultExecutionSpace;

template <class Aggregator>
bool works(Aggregator& aggregator) {
  dchag::Workspace<Space> workspace;
  typename Aggregator::Context context;
  Kokkos::View<float****, Space> const image("image", 5, 10, 2, 6); // (B, C, H, W)
  dchag::Tensor<Space, float, 3> const tokens("tokens", 5, 3, 8);   // (B, L, D)
  Kokkos::deep_copy(image, 1.0f);
  aggregator.forward(workspace, context, image, tokens);
  aggregator.backward(workspace, context, image, tokens, image);
  auto const host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), tokens);
  int bad = 0;
  for (std::size_t i = 0; i < host.size(); ++i) bad += !dchag::math::is_finite(host.data()[i]);
  std::printf("a token of %zu features, %d of %zu values are not finite\n", host.extent(2), bad, host.size());
  return bad == 0 && host.data()[0] != 0;
}

int main(int argc, char** argv) {
  dchag::comm::Session const session(argc, argv);
  Kokkos::ScopeGuard const kokkos(argc, argv);
  dchag::comm::Communicator const world(MPI_COMM_WORLD);
  dchag::ChannelAggregator<Space, float> alone(Space(), {.channels = 10, .patch = 2, .width = 8, .heads = 2});
  dchag::DistributedAggregator<Space, float, dchag::Tree<dchag::Linear, 2>> grouped(
      Space(), world, {.channels = 10, .groups = 2, .patch = 2, .width = 8, .heads = 2});
  return works(alone) && works(grouped) ? 0 : 1;
}
