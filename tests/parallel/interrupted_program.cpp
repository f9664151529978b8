// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#define DOCTEST_CONFIG_IMPLEMENT // the headers of the tests check; nothing is run here
#include <dchag/comm/session.hpp>

#include <string_view>
#include <support/replicas.hpp>

using namespace dchag;

// A step of which rank 1 alone leaves in the middle, while units' values and gradients are under way: it must end the
// program, and not wait for ranks that wait for it. With "fewer" it makes fewer passes than the other rank of its
// tensor group, which waits for it inside of the model.
int main(int argc, char** argv) {
  comm::Session const session(argc, argv);
  Kokkos::ScopeGuard const kokkos(argc, argv);
  comm::Communicator const world;
  std::string_view const policy = argc > 1 ? argv[1] : "";
  auto const sharding = policy == "full"        ? parallel::Sharding::full
                        : policy == "optimizer" ? parallel::Sharding::optimizer
                                                : parallel::Sharding::none;
  return comm::run_main(world, [&] {
    if (policy == "fewer") {
      test::Replica<Kokkos::DefaultExecutionSpace, float> replica(world, {world.size(), 1, 1}, sharding);
      replica.model.in_backward_of = [&](std::size_t) {
        comm::all_reduce(replica.mesh.tensor(), 1, comm::Reduce::sum);
      };
      if (world.rank() == 1) {
        replica.training.begin_step();
        replica.training.finish_backward();
      }
      replica.gradients();
    }
    test::Replica<Kokkos::DefaultExecutionSpace, float> replica(world, {1, world.size(), 1}, sharding);
    replica.step();
    replica.model.in_backward_of = [&](std::size_t unit) {
      require<Error>(unit != 1 || world.rank() != 1, "rank 1 alone");
    };
    replica.step();
    return 0;
  });
}
