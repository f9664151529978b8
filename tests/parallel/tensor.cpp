// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/parallel/data_parallel.hpp>

#include <support/replicas.hpp>

namespace parallel_tensor {

using namespace dchag;
using namespace dchag::test;
using parallel::Sharding;

namespace {

/// One unit and nothing else, as tensor-parallel rank t of several sees it: parts of its own (of another size on every
/// rank), what all of them hold, and what all of them hold but compute parts of the gradient of.
template <class Space, class Number>
struct TensorModel {
  using value_type = Number;
  using execution_space = Space;

  TensorModel(Space const& exec, std::size_t t)
      : own(exec,
            {.name = "own",
             .shape = {3 + 5 * t},
             .placement = Placement::distributed,
             .whole = {100},
             .begin = {20 * t}},
            initial::uniform(1, "own", 1)),
        replicated(exec, {.name = "replicated", .shape = {11}}, initial::uniform(1, "replicated", 1)),
        partial(exec, {.name = "partial", .shape = {2, 3}, .partial_gradient = true},
                initial::uniform(1, "partial", 1)) {}

  template <class F>
  void for_each_parameter(F const& f) {
    f(own);
    f(replicated);
    f(partial);
  }
  template <class F>
  void for_each_unit(F const& f) {
    f(unit, *this);
  }

  /// Gradients that say which rank they come from: tensor-parallel rank t, replica r.
  void backward(std::size_t t, std::size_t r) {
    auto const use = unit.in_backward();
    auto const add = [](auto const& parameter, auto const& f) {
      std::vector<double> gradients = flat(parameter.gradients());
      for (std::size_t i = 0; i < gradients.size(); ++i) gradients[i] += f(static_cast<double>(i + 1));
      assign(parameter.gradients(), gradients);
    };
    auto const a = static_cast<double>(t + 1), b = static_cast<double>(r + 1);
    add(own, [=](double i) { return a * b * i; });
    add(replicated, [=](double i) { return b * i; });
    add(partial, [=](double i) { return a * b + i; });
  }

  Parameter<Space, Number> own, replicated, partial;
  Unit unit;
};

} // namespace

TEST_CASE_TEMPLATE("partial gradients are summed over tensor-parallel ranks, others are not", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  Space const exec;
  comm::Communicator const world;
  for (int tensor = 1; tensor <= world.size(); ++tensor)
    for (auto const& shape : mesh_shapes(world.size(), tensor))
      for (auto const sharding : all_shardings)
        for (std::size_t const K : {1u, 2u}) {
          if (world.size() % tensor != 0) continue;
          CAPTURE(tensor);
          CAPTURE(shape.shard);
          CAPTURE(static_cast<int>(sharding));
          comm::Mesh const mesh(world, shape);
          auto const t = static_cast<std::size_t>(mesh.tensor_index());
          auto const r = static_cast<std::size_t>(mesh.replicas().rank());
          TensorModel<Space, T> model(exec, t);
          auto const before = values_of(model);
          parallel::DataParallel training(exec, mesh, model, sharding);
          training.begin_step(K);
          for (std::size_t k = 0; k < K; ++k) model.backward(t, r);
          support::CommCount const count;
          training.finish_backward();

          // means over the replicas; of `partial`, of the sum over the tensor-parallel ranks
          double const tensors = tensor, b = (mesh.replicas().size() + 1) / 2.0;
          auto const whole_of = [&](double a) {
            Numbers numbers;
            for (std::size_t i = 1; i <= 100; ++i) numbers["own"].push_back(a * b * static_cast<double>(i));
            for (std::size_t i = 1; i <= 11; ++i) numbers["replicated"].push_back(b * static_cast<double>(i));
            for (std::size_t i = 1; i <= 6; ++i)
              numbers["partial"].push_back(tensors * (tensors + 1) / 2 * b + tensors * static_cast<double>(i));
            return numbers;
          };
          auto const expected = whole_of(static_cast<double>(t + 1));
          double worst = 0, squares = 0;
          training.for_each_parameter([&](auto& parameter) {
            auto const held = parameter.spec().held();
            auto const found = flat(parameter.gradients());
            for (std::size_t i = 0; i < found.size(); ++i)
              worst = std::max(worst, relative_difference(found[i], expected.at(parameter.name())[held.begin + i]));
            CHECK_FALSE(parameter.spec().partial_gradient);
          });
          CHECK(worst < tolerance<T>(1e-6, 1e-14));

          for (std::size_t rank = 0; rank < static_cast<std::size_t>(tensor); ++rank) {
            auto const numbers = whole_of(static_cast<double>(rank + 1));
            for (std::size_t i = 0; i < 3 + 5 * rank; ++i) squares += std::pow(numbers.at("own")[i], 2);
            for (auto const* name : {"replicated", "partial"})
              for (double x : numbers.at(name)) squares += rank == 0 ? x * x : 0;
          }
          double const norm = gradient_norm(exec, training, training.gradient_sum());
          CHECK(norm == doctest::Approx(std::sqrt(squares)).epsilon(tolerance<T>(1e-6, 1e-13)));
          CHECK(comm::all_reduce(world, norm, comm::Reduce::max) == comm::all_reduce(world, norm, comm::Reduce::min));
        }
}

TEST_CASE("tensor-parallel ranks that do not hold the same replicated parameters are refused") {
  using Space = Kokkos::DefaultExecutionSpace;
  comm::Communicator const world;
  if (world.size() == 1) return;
  comm::Mesh const mesh(world, {world.size(), 1, 1});
  TensorModel<Space, float> model(Space(), 0);
  if (world.rank() == 1)
    model.replicated = Parameter<Space, float>(Space(), {.name = "replicated", .shape = {12}}, initial::constant(0));
  CHECK_THROWS_WITH_AS(parallel::DataParallel(Space(), mesh, model),
                       "DataParallel: replicated values of unit0 is 27 on rank 0 but 28 on rank 1", CommError);
}

} // namespace parallel_tensor
