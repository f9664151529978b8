// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/comm/session.hpp>
#include <dchag/train/adamw.hpp>
#include <dchag/train/checkpoint_folder.hpp>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <support/partitioned_model.hpp>

using namespace dchag;
using Space = Kokkos::DefaultHostExecutionSpace;

namespace {

/// Half the squared distance of all values from targets that change with the step, which are also the gradients.
double loss_and_gradients(test::PartitionedModel<Space, float>& model, comm::Communicator const& world,
                          std::size_t step) {
  double distributed = 0;
  double replicated = 0;
  model.for_each_parameter([&](auto& parameter) {
    Random const random(step, parameter.name());
    auto const values = parameter.values();
    auto const gradients = parameter.gradients();
    bool const everywhere = parameter.spec().whole.empty() && parameter.name().rfind("group", 0) != 0;
    for (std::size_t i = 0; i < values.extent(0); ++i) {
      gradients(i) = values(i) - static_cast<float>(random.uniform(test::index_in_whole(parameter.spec(), i)));
      (everywhere ? replicated : distributed) += 0.5 * gradients(i) * gradients(i);
    }
  });
  return replicated + comm::all_reduce(world, distributed, comm::Reduce::sum);
}

} // namespace

// Trains a toy model up to a step, with a checkpoint after each: kill_program <folder> <steps>. It goes on from the
// newest checkpoint that is whole, and prints "start <step>", then "loss <step> <bits>" when a step's checkpoint is
// written, then "done". kill_driver kills it.
int main(int argc, char** argv) {
  comm::Session const session(argc, argv);
  Kokkos::ScopeGuard const kokkos(argc, argv);
  comm::Communicator const world;
  return comm::run_main(world, [&] {
    require<Error>(argc == 3, "kill_program: ", argc - 1, " arguments, expected <folder> <steps>");
    auto const steps = static_cast<std::size_t>(std::atoi(argv[2]));
    Space const exec;
    test::PartitionedModel<Space, float> model(exec, {world.size(), 1, 1}, world.rank(), 500);
    AdamW<Space, float> optimizer(exec, model);
    CheckpointFolder const folder(world, argv[1]);
    std::size_t step = 0;
    auto const newest = folder.newest_complete();
    require<Error>(newest.skipped.empty(), "kill_program: ", newest.skipped.empty() ? "" : newest.skipped[0]);
    if (newest.path) step = load_checkpoint(world, *newest.path, {model, optimizer}).get<std::size_t>("step");
    auto const print = [&](char const* word, std::uint64_t bits) {
      if (world.rank() == 0) std::printf("%s %zu %016" PRIx64 "\n", word, step, bits);
      std::fflush(stdout);
    };
    print("start", 0);
    while (step < steps) {
      double const loss = loss_and_gradients(model, world, step);
      optimizer.step(exec, model, 0.01);
      exec.fence();
      ++step;
      folder.save(static_cast<std::int64_t>(step), {model, optimizer, {{"step", step}}});
      print("loss", std::bit_cast<std::uint64_t>(loss));
    }
    print("done", 0);
    return 0;
  });
}
