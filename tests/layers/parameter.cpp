// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/layers/linear.hpp>

#include <memory>
#include <support/allocations.hpp>
#include <support/parameters.hpp>
#include <support/spaces.hpp>
#include <thread>

namespace layers_parameter {

using namespace dchag;
using namespace dchag::test;

namespace {

using Host = Kokkos::DefaultHostExecutionSpace;

/// Parts of arrays in all the ways there are.
std::vector<ParameterSpec> specs() {
  return {{.name = "all", .shape = {3, 4}},
          {.name = "box", .shape = {2, 2}, .whole = {3, 4}, .begin = {1, 1}},
          {.name = "run", .shape = {5, 3}, .run = {2, 11}},
          {.name = "run of a box", .shape = {2, 4}, .whole = {3, 4}, .begin = {1, 0}, .run = {3, 7}},
          {.name = "nothing", .shape = {0}}};
}

template <class Space, class T>
Parameter<Space, T> make(ParameterSpec const& spec) {
  return {Space(), spec, initial::truncated_normal(7, spec.name)};
}

/// Whether a parameter that is made here and now is deferred.
bool deferring() {
  return make<Host, float>({.name = "probe", .shape = {1}}).is_deferred();
}

/// A model that can be neither copied nor moved.
struct Fixed {
  explicit Fixed(Host const& exec) : parameter(exec, {.name = "fixed", .shape = {2}}, initial::constant(1)) {}
  Fixed(Fixed const&) = delete;
  Parameter<Host, float> parameter;
};

} // namespace

TEST_CASE_TEMPLATE("a deferred parameter holds nothing, and materialized equals the ordinary one", Case,
                   DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  for (auto const& spec : specs()) {
    CAPTURE(spec.name);
    auto const ordinary = make<Space, T>(spec);
    CHECK(!ordinary.is_deferred());
    AllocationCounter const counter;
    auto parameter = deferred([&] { return make<Space, T>(spec); });
    CHECK(counter.number() == 0);
    CHECK(parameter.is_deferred());
    CHECK(parameter.values().data() == nullptr);
    CHECK(parameter.gradients().data() == nullptr);
    CHECK(parameter.name() == spec.name);
    CHECK(parameter.size() == ordinary.size());
    parameter.materialize(Space());
    CHECK(!parameter.is_deferred());
    CHECK(flat(parameter.values()) == flat(ordinary.values()));
    CHECK(flat(parameter.gradients()) == flat(ordinary.gradients()));
    auto const* const before = parameter.values().data();
    parameter.materialize(Space());
    CHECK(parameter.values().data() == before);
  }
}

TEST_CASE_TEMPLATE("any run of the initial values can be written", Case, DCHAG_TEST_CASES) {
  using Space = typename Case::ExecutionSpace;
  using T = typename Case::T;
  for (auto const& spec : specs()) {
    CAPTURE(spec.name);
    auto const all = flat(make<Space, T>(spec).values());
    auto const parameter = deferred([&] { return make<Space, T>(spec); });
    bool equal = true;
    for (std::size_t begin = 0; begin <= all.size(); ++begin)
      for (std::size_t end = begin; end <= all.size(); ++end) {
        auto const values = random_tensor<T>(Space(), 1, "values", {end - begin});
        parameter.write_initial(Space(), {begin, end}, values);
        for (std::size_t i = begin; i < end; ++i) equal = equal && flat(values)[i - begin] == all[i];
      }
    CHECK(equal);
  }
}

TEST_CASE("how a parameter begins is forgotten as soon as it has values") {
  auto const witness = std::make_shared<int>(3);
  auto const initial = [witness](std::size_t) { return *witness; };
  ParameterSpec const spec{.name = "w", .shape = {2}};
  long const alone = witness.use_count();
  Parameter<Host, float> const ordinary(Host(), spec, initial);
  CHECK(witness.use_count() == alone);
  auto const make = [&] { return Parameter<Host, float>(Host(), spec, initial); };
  auto materialized = deferred(make), bound = deferred(make);
  CHECK(witness.use_count() == alone + 2);
  materialized.materialize(Host());
  CHECK(witness.use_count() == alone + 1);
  bound.bind(materialized.values(), materialized.gradients());
  CHECK(witness.use_count() == alone);
  CHECK(!bound.is_deferred());
  CHECK_THROWS_WITH_AS(bound.initial_value(0), "Parameter: w has forgotten how it begins, expected a deferred one",
                       Error);
}

TEST_CASE("a parameter must know how it begins") {
  auto const make = [] { return Parameter<Host, float>(Host(), {.name = "w", .shape = {2}}, nullptr); };
  CHECK_THROWS_WITH_AS(make(), "Parameter: w has no initial values, expected a function", Error);
  CHECK_THROWS_AS(static_cast<void>(deferred(make)), Error);
}

TEST_CASE("deferred: may be nested, ends with an exception, and concerns one thread") {
  CHECK(!deferring());
  deferred([] {
    CHECK(deferring());
    CHECK(deferred(deferring));
    CHECK(deferring());
    CHECK_THROWS_AS(deferred([] { throw Error("inside"); }), Error);
    CHECK(deferring());
    bool elsewhere = true;
    std::thread([&] { elsewhere = detail::Deferral::in_force(); }).join();
    CHECK(!elsewhere);
  });
  CHECK(!deferring());
  CHECK_THROWS_AS(deferred([] { deferred([] { throw Error("inside"); }); }), Error);
  CHECK(!deferring());
}

TEST_CASE("deferred: returns what is made, without moving it") {
  Host const exec;
  auto const fixed = deferred([&] { return Fixed(exec); });
  CHECK(fixed.parameter.is_deferred());
  int number = 3;
  CHECK(&deferred([&]() -> int& { return number; }) == &number);
}

TEST_CASE("what a deferred parameter does not hold cannot be used") {
  Host const exec;
  auto layer = deferred([&] { return layers::Linear<Host, float>(exec, "linear", {.inputs = 3, .outputs = 2}, 1); });
  CHECK_THROWS_WITH_AS(layer.weight(), "Parameter: linear.weight, deferred, holds 0 values, expected 6", ShapeError);
  CHECK_THROWS_WITH_AS(layer.weight_gradient(), "Parameter: linear.weight, deferred, holds 0 gradients, expected 6",
                       ShapeError);
  CHECK_THROWS_WITH_AS(layer.bias(), "Parameter: linear.bias, deferred, holds 0 values, expected 2", ShapeError);
  CHECK_THROWS_AS(layer.bias_gradient(), ShapeError);
  Workspace<Host> workspace(exec);
  NoContext none;
  auto const x = random_tensor<float>(exec, 1, "x", {4, 3}), y = random_tensor<float>(exec, 1, "y", {4, 2});
  CHECK_THROWS_AS(layer.forward(workspace, none, x, y), ShapeError);
  layer.for_each_parameter([&](auto& parameter) { parameter.materialize(exec); });
  CHECK_NOTHROW(layer.forward(workspace, none, x, y));

  auto const parameter = deferred([] { return make<Host, float>({.name = "w", .shape = {2, 3}}); });
  CHECK_THROWS_WITH_AS(parameter.value<2>(), "Parameter: w, deferred, holds 0 values, expected 6", ShapeError);
  auto const two = random_tensor<float>(exec, 1, "two", {std::size_t{2}});
  CHECK_THROWS_WITH_AS(parameter.write_initial(exec, {5, 7}, two),
                       "Parameter::write_initial: run of w ends at 7, expected at most 6", ShapeError);
  CHECK_THROWS_WITH_AS(parameter.write_initial(exec, {3, 6}, two),
                       "Parameter::write_initial: values is (2), expected (3)", ShapeError);
}

} // namespace layers_parameter
