// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/parallel/data_parallel.hpp>

#include <support/replicas.hpp>

namespace parallel_data_parallel {

using namespace dchag;
using namespace dchag::test;
using parallel::Sharding;

namespace {
/// A model that names a layer twice.
struct Twice : UnitModel<Kokkos::DefaultExecutionSpace, float> {
  using UnitModel<Kokkos::DefaultExecutionSpace, float>::UnitModel;
  template <class F>
  void for_each_unit(F const& f) {
    f(this->units[0], this->layers[2]);
    f(this->units[1], this->layers[2]);
  }
};
} // namespace

TEST_CASE_TEMPLATE("every mesh and policy trains as one rank does with the whole batch", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  comm::Communicator const world;
  for (auto const& shape : mesh_shapes(world.size()))
    for (auto const sharding : all_shardings)
      for (std::size_t const K : {1u, 2u}) {
        CAPTURE(shape.shard);
        CAPTURE(shape.data);
        CAPTURE(static_cast<int>(sharding));
        CAPTURE(K);
        Alone<Space, T> one;
        Replica<Space, T> replica(world, shape, sharding);
        double first_norm = 0, worst_loss = 0;
        WorstArray first;
        for (int step = 0; step < 20; ++step) {
          double const expected = one.step();
          double const before = replica.evaluate();
          if (step == 0) {
            replica.gradients(K);
            auto const found = gradients_of(replica.training);
            first = worst_error(found, part_of(one.gradients, replica.training));
            first_norm = gradient_norm(replica.exec, replica.training, replica.training.gradient_sum());
            CHECK(one.norm > 0.05); // clipping is at work
            CHECK(first_norm == doctest::Approx(one.norm).epsilon(tolerance<T>(1e-5, 1e-12)));
          }
          double const found = replica.step(K);
          worst_loss = std::max({worst_loss, relative_difference(found, expected), relative_difference(before, found)});
        }
        auto const values = worst_error(values_of(replica.training), part_of(values_of(one.model), replica.training));
        CHECK(first < tolerance<T>(1e-5, 1e-12));
        CHECK(values < tolerance<T>(1e-3, 1e-9));
        CHECK(worst_loss < tolerance<T>(1e-3, 1e-9));
        // together the shards are the whole model
        std::size_t const own = parameter_count(replica.training);
        auto const all = comm::all_reduce(replica.mesh.shard(), own, comm::Reduce::sum);
        auto const copies = sharding == Sharding::none ? static_cast<std::size_t>(shape.shard) : 1;
        CHECK(all == copies * parameter_count(one.model));
      }
}

TEST_CASE_TEMPLATE("one rank and no sharding is bit for bit the model alone", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  auto const self = comm::Communicator::self();
  support::CommCount const count;
  for (auto const sharding : all_shardings) {
    Alone<Space, T> one;
    Replica<Space, T> replica(self, {1, 1, 1}, sharding);
    CHECK(replica.training.sharding() == Sharding::none);
    for (int step = 0; step < 3; ++step) {
      one.step();
      replica.step();
    }
    CHECK(values_of(replica.training) == values_of(one.model));
  }
  CHECK(count.total_calls() == 0);
}

TEST_CASE_TEMPLATE("the same mesh repeats bit for bit, and copies stay equal", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  comm::Communicator const world;
  for (auto const& shape : mesh_shapes(world.size()))
    for (auto const sharding : all_shardings) {
      Replica<Space, T> first(world, shape, sharding), second(world, shape, sharding);
      for (int step = 0; step < 3; ++step) {
        first.step();
        second.step();
      }
      auto const values = values_of(first.training);
      CHECK(everywhere(world, values == values_of(second.training)));
      double sum = 0;
      for (auto const& [name, array] : values)
        for (double x : array) sum += x;
      auto const& copies = sharding == Sharding::none ? first.mesh.replicas() : first.mesh.data();
      CHECK(comm::all_reduce(copies, sum, comm::Reduce::max) == comm::all_reduce(copies, sum, comm::Reduce::min));
    }
}

TEST_CASE_TEMPLATE("a step in steady state allocates nothing", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  comm::Communicator const world;
  for (auto const& shape : mesh_shapes(world.size()))
    for (auto const sharding : all_shardings) {
      Replica<Space, T> replica(world, shape, sharding);
      replica.step(2);
      replica.step(2);
      AllocationCounter const counter;
      for (int step = 0; step < 3; ++step) replica.step(2);
      CHECK(counter.number() == counter.of_prefix("dchag::test::").number); // the loss is computed by the test
    }
}

TEST_CASE("units hold values while they are used and, sharded, nothing otherwise") {
  using Space = Kokkos::DefaultExecutionSpace;
  comm::Communicator const world;
  if (world.size() == 1) return;
  Replica<Space, double> replica(world, {1, world.size(), 1}, Sharding::full);
  auto const holds = [&](std::size_t i) {
    auto const& weight = replica.model.layers[i].weight;
    return weight.values().extent(0) == weight.size() && weight.gradients().extent(0) == weight.size();
  };
  auto const holds_nothing = [&](std::size_t i) {
    auto const& weight = replica.model.layers[i].weight;
    return weight.values().data() == nullptr && weight.gradients().data() == nullptr;
  };
  std::size_t wrong = 0;
  replica.model.in_backward_of = [&](std::size_t unit) {
    for (std::size_t i = 0; i < replica.model.depth; ++i) wrong += (i == unit ? holds(i) : holds_nothing(i)) ? 0 : 1;
  };
  replica.step();
  for (std::size_t i = 0; i < replica.model.depth; ++i) wrong += holds_nothing(i) ? 0 : 1;
  CHECK(wrong == 0);
  CHECK(replica.model.shift.values().extent(0) == 6);
}

TEST_CASE("an exception on all ranks in the middle of a step sends nothing, and the next step is as good") {
  using Space = Kokkos::DefaultExecutionSpace;
  comm::Communicator const world;
  for (auto const& shape : mesh_shapes(world.size()))
    for (auto const sharding : all_shardings) {
      Replica<Space, double> clean(world, shape, sharding), interrupted(world, shape, sharding);
      clean.step();
      interrupted.step();
      support::CommCount count;
      std::size_t sent = 1;
      interrupted.model.in_backward_of = [&](std::size_t unit) {
        if (unit != 2) return;
        count.reset();
        throw Error("in the middle");
      };
      try {
        interrupted.step();
      } catch (Error const& error) {
        sent = count.total_calls();
        CHECK(error.what() == std::string("in the middle"));
      }
      CHECK(sent == 0);
      interrupted.model.in_backward_of = nullptr;
      clean.step();
      interrupted.step();
      CHECK(everywhere(world, values_of(clean.training) == values_of(interrupted.training)));

      // it may also take everything with it
      auto const gone = [&] {
        Replica<Space, double> replica(world, shape, sharding);
        replica.model.in_backward_of = [](std::size_t unit) { require<Error>(unit != 1, "gone"); };
        replica.step();
      };
      CHECK_THROWS_WITH_AS(gone(), "gone", Error);
    }
}

TEST_CASE("all replicas begin with the values of the first; the model is whole again afterwards") {
  using Space = Kokkos::DefaultExecutionSpace;
  comm::Communicator const world;
  Space const exec;
  for (auto const& shape : mesh_shapes(world.size()))
    for (auto const sharding : all_shardings) {
      comm::Mesh const mesh(world, shape);
      UnitModel<Space, float> first(exec), model(exec);
      auto const expected = values_of(first);
      if (mesh.replicas().rank() > 0) randomize(model);
      {
        parallel::DataParallel training(exec, mesh, model, sharding);
        CHECK(everywhere(world, values_of(training) == part_of(expected, training)));
      }
      bool const kept = effective(sharding, shape) == Sharding::full ? model.layers[0].weight.values().data() == nullptr
                                                                     : values_of(model) == expected;
      CHECK(everywhere(world, kept));
    }
}

TEST_CASE("values from elsewhere reach the layers") {
  using Space = Kokkos::DefaultExecutionSpace;
  comm::Communicator const world;
  Alone<Space, double> one;
  randomize(one.model);
  one.model.forward(one.workspace, one.context, one.batch);
  double const expected = one.model.backward(one.workspace, one.context);
  for (auto const sharding : all_shardings) {
    Replica<Space, double> replica(world, {1, world.size(), 1}, sharding);
    replica.evaluate();
    randomize(replica.training); // as a checkpoint does
    replica.training.values_changed();
    CHECK(relative_difference(replica.evaluate(), expected) < 1e-12);
  }
}

TEST_CASE("what cannot be is refused on every rank") {
  using Space = Kokkos::DefaultExecutionSpace;
  comm::Communicator const world;
  Space const exec;
  comm::Mesh const mesh(world, {1, world.size(), 1});
  Replica<Space, float> replica(world, {1, 1, world.size()}, Sharding::optimizer);
  replica.evaluate();
  CHECK_THROWS_WITH_AS(replica.model.backward(replica.workspace, replica.context),
                       "DataParallel: backward outside of a step, expected begin_step before it", Error);
  CHECK_THROWS_AS(replica.training.finish_backward(), Error);
  CHECK_THROWS_AS(replica.training.begin_step(0), Error);
  replica.training.begin_step();
  replica.evaluate();
  replica.model.backward(replica.workspace, replica.context);
  CHECK_THROWS_WITH_AS(
      replica.model.backward(replica.workspace, replica.context),
      "DataParallel: unit4 goes backward once more after 1 passes, expected as many as begin_step says", Error);
  replica.training.begin_step();
  auto const outer = replica.model.units[1].in_forward();
  CHECK_THROWS_WITH_AS(replica.model.units[3].in_forward(),
                       "DataParallel: unit3 is used inside unit1, expected one unit at a time since begin_step", Error);

  Twice twice(exec);
  CHECK_THROWS_WITH_AS(parallel::DataParallel(exec, mesh, twice),
                       "DataParallel: layer2.weight belongs to unit0 and to unit1, expected one unit", Error);
  if (world.size() > 1) {
    UnitModel<Space, float> model(exec);
    CHECK_THROWS_WITH_AS(
        parallel::DataParallel(exec, mesh, model, world.rank() == 0 ? Sharding::optimizer : Sharding::full),
        "DataParallel: sharding is 1 on rank 0 but 2 on rank 1", CommError);
  }
  if (world.size() >= 4) { // where only the replicas of the odd one can see it
    comm::Mesh const grid(world, {2, world.size() / 2, 1});
    UnitModel<Space, float> model(exec);
    CHECK(sentence_of([&] {
            parallel::DataParallel(exec, grid, model, world.rank() == 0 ? Sharding::optimizer : Sharding::full);
          }).find("DataParallel: sharding is ") != std::string::npos);
  }
}

} // namespace parallel_data_parallel
