// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/channels/distributed_aggregator.hpp>
#include <dchag/models/masked_autoencoder.hpp>
#include <dchag/train/checkpoint.hpp>

#include <support/replicas.hpp>
#include <support/sentence.hpp>
#include <support/temporary_folder.hpp>

namespace parallel_deferred {

using namespace dchag;
using namespace dchag::test;
using parallel::Sharding;

namespace {

using Space = Kokkos::DefaultExecutionSpace;
using Aggregator = DistributedAggregator<Space, float, Tree<CrossAttention>>;
using Autoencoder = MaskedAutoencoder<Aggregator, parallel::SequenceParallel>;

/// Blocks enough for the largest unit to be a small part of the whole.
Autoencoder autoencoder(comm::Communicator const& tensor, std::vector<std::string> const& channel_names = {}) {
  Space const exec;
  return Autoencoder(
      exec,
      Aggregator(
          exec, tensor,
          {.channels = 9, .groups = 4, .patch = 2, .width = 32, .heads = 4, .seed = 5, .channel_names = channel_names}),
      {.height = 6,
       .width = 8,
       .depth = 12,
       .heads = 4,
       .decoder_features = 16,
       .decoder_depth = 2,
       .decoder_heads = 2,
       .mlp_ratio = 2},
      parallel::SequenceParallel(tensor));
}

/// Of a model, how many bytes sharding.hpp says that values and gradients take, and its largest unit: from the sizes of
/// the parameters, with their gaps.
template <class Model>
struct Expected {
  std::size_t held, largest;

  Expected(Model& model, Sharding sharding, std::size_t S) {
    constexpr std::size_t number = sizeof(typename Model::value_type), gap = 64 / number;
    std::size_t all = 0, units = 0, U = 0; // N is `all`
    auto const padded = [&](auto& parameter) { return (parameter.size() + gap - 1) / gap * gap; };
    model.for_each_parameter([&](auto& parameter) { all += padded(parameter); });
    model.for_each_unit([&](Unit&, auto& layer) {
      std::size_t size = S;
      layer.for_each_parameter([&](auto& parameter) { size += padded(parameter); });
      units += size;
      U = std::max(U, size);
    });
    std::size_t const R = all - std::min(all, units) + S;
    std::size_t const V = std::max(U, R) / S + 1; // largest shard
    held = number * (sharding == Sharding::none        ? 2 * all
                     : sharding == Sharding::optimizer ? 2 * (all + V)
                                                       : 2 * (units / S + R + 2 * U + V));
    largest = number * U;
  }
};

/// The most that is held while a model and its training are made.
template <class Make>
std::size_t construction_peak(comm::Mesh const& mesh, Sharding sharding, Make const& make) {
  AllocationCounter const counter;
  auto model = make();
  parallel::DataParallel const training(Space(), mesh, model, sharding);
  return counter.peak();
}

template <class S, class T>
auto deferred_units() {
  return deferred([] { return UnitModel<S, T>(S()); });
}

} // namespace

TEST_CASE_TEMPLATE("every mesh and policy begins with the values of the ordinary model, bit for bit", Case,
                   DCHAG_TEST_CASES) {
  using S = typename Case::ExecutionSpace;
  using T = typename Case::T;
  comm::Communicator const world;
  UnitModel<S, T> one{S()};
  auto const expected = values_of(one);
  for (auto const& shape : mesh_shapes(world.size()))
    for (auto const sharding : all_shardings) {
      comm::Mesh const mesh(world, shape);
      auto model = deferred_units<S, T>();
      {
        parallel::DataParallel training(S(), mesh, model, sharding);
        CHECK(everywhere(world, values_of(training) == part_of(expected, training)));
        double gradients = 0;
        for (auto const& [name, array] : gradients_of(training)) gradients += largest_of(array);
        CHECK(gradients == 0);
        model.for_each_parameter([&](auto& parameter) { CHECK(!parameter.is_deferred()); });
      }
      if (effective(sharding, shape) != Sharding::full) {
        CHECK(everywhere(world, values_of(model) == expected));
        continue;
      }
      CHECK_THROWS_WITH_AS(parallel::DataParallel(S(), mesh, model, sharding),
                           "DataParallel: layer0.weight holds 0 values, expected 30", Error);
    }
}

TEST_CASE("so does a masked autoencoder shared by tensor-parallel ranks") {
  comm::Communicator const world;
  auto const self = comm::Communicator::self();
  auto one = autoencoder(self);
  auto const expected = values_of(one);
  for (int tensor = 1; tensor <= std::min(world.size(), 4); tensor *= 2)
    for (auto const& shape : mesh_shapes(world.size(), tensor))
      for (auto const sharding : all_shardings) {
        if (sharding != effective(sharding, shape)) continue;
        comm::Mesh const mesh(world, shape);
        auto model = deferred([&] { return autoencoder(mesh.tensor()); });
        parallel::DataParallel training(Space(), mesh, model, sharding);
        CHECK(everywhere(world, values_of(training) == part_of(expected, training)));
      }
}

TEST_CASE("a deferred model never holds more than its shards and buffers") {
  comm::Communicator const world;
  for (int tensor = 1; tensor <= std::min(world.size(), 4); tensor *= 2)
    for (auto const& shape : mesh_shapes(world.size(), tensor))
      for (auto const sharding : all_shardings) {
        CAPTURE(tensor);
        CAPTURE(shape.shard);
        CAPTURE(static_cast<int>(sharding));
        comm::Mesh const mesh(world, shape);
        auto const make = [&] { return autoencoder(mesh.tensor()); };
        auto const make_deferred = [&] { return deferred(make); };
        std::size_t nothing = 1;
        {
          AllocationCounter const counter;
          auto model = make_deferred();
          nothing = counter.of_prefix("dchag::parameter::").number + counter.of_prefix("dchag::gradient::").number;
        }
        auto model = make_deferred();
        Expected const expected(model, effective(sharding, shape), static_cast<std::size_t>(shape.shard));
        auto const bound = expected.held + expected.largest;
        auto const found = construction_peak(mesh, sharding, make_deferred);
        auto const ordinary = construction_peak(mesh, sharding, make);
        CHECK(everywhere(world, nothing == 0));
        CHECK(everywhere(world, found <= bound));
        CHECK(everywhere(world, ordinary > bound)); // the bound tells them apart
      }
}

TEST_CASE("some parameters may have values already, on some ranks; all get those of the first replica") {
  comm::Communicator const world;
  Space const exec;
  using Weight = Parameter<Space, float>;
  enum class Differs { unit, parameter, first, others, initial, sign, scale };
  for (auto const differs : {Differs::unit, Differs::parameter, Differs::first, Differs::others, Differs::initial,
                             Differs::sign, Differs::scale})
    for (auto const& shape : mesh_shapes(world.size()))
      for (auto const sharding : all_shardings) {
        CAPTURE(static_cast<int>(differs));
        comm::Mesh const mesh(world, shape);
        auto const make = [&](int replica) {
          auto model = deferred_units<Space, float>();
          auto const load = [&](auto& layer) { // as from a file
            layer.for_each_parameter([&](auto& parameter) { parameter.materialize(exec); });
            randomize(layer);
          };
          if (differs == Differs::unit) load(model.layers[1]);
          if (differs == Differs::parameter) {
            model.layers[1].weight.materialize(exec);
            assign(model.layers[1].weight.values(), std::vector<double>(model.layers[1].weight.size(), 0.5));
          }
          if (differs == (replica == 0 ? Differs::first : Differs::others)) load(model);
          if (differs == Differs::initial)
            model.layers[1].weight = deferred(
                [&] { return Weight(exec, model.layers[1].weight.spec(), initial::uniform(replica, "other", 1)); });
          if (differs == Differs::sign || differs == Differs::scale) {
            double const factor = replica == 0 ? 1 : differs == Differs::sign ? -1 : 2;
            auto const multiple = [factor, number = initial::uniform(1, "other", 1)](std::size_t i) {
              return factor * number(i);
            };
            model.layers[1].weight = deferred([&] { return Weight(exec, model.layers[1].weight.spec(), multiple); });
          }
          return model;
        };
        auto first = make(0);
        first.for_each_parameter([&](auto& parameter) { parameter.materialize(exec); });
        auto model = make(mesh.replicas().rank());
        parallel::DataParallel training(exec, mesh, model, sharding);
        CHECK(everywhere(world, values_of(training) == part_of(values_of(first), training)));
      }
}

TEST_CASE("a parameter that one rank alone has nothing for is refused on every rank") {
  comm::Communicator const world;
  comm::Mesh const mesh(world, {1, 1, world.size()});
  auto model = deferred_units<Space, float>();
  if (world.rank() + 1 == world.size()) model.for_each_parameter([](auto& parameter) { parameter.bind({}, {}); });
  auto const sentence = sentence_of([&] { parallel::DataParallel(Space(), mesh, model, Sharding::none); });
  CHECK(sentence.find("DataParallel: layer0.weight holds 0 values, expected 30") != std::string::npos);
}

TEST_CASE("what a model means is the same on every mesh, and channels are matched there too") {
  comm::Communicator const world;
  auto const self = comm::Communicator::self();
  TemporaryFolder const folder(world);
  std::vector<std::string> const names{"a", "b", "c", "d", "e", "f", "g", "h", "i"};
  std::vector<std::string> const others{"c", "a", "b", "e", "d", "f", "g", "i", "h"}; // each in its group
  auto const own = folder / concat("one", world.rank(), ".safetensors");
  auto one = autoencoder(self, names), other = autoencoder(self, others);
  save_checkpoint(self, own, one);
  load_checkpoint(self, own, other);
  auto const expected = values_of(other);
  auto const first = [](Numbers const& numbers, std::size_t channel) { // weights of a channel
    auto const begin = numbers.at("tokenizer.weight").begin() + static_cast<long>(channel * 32 * 4);
    return std::vector(begin, begin + 32 * 4);
  };
  CHECK(first(expected, 0) == first(values_of(one), 2));
  for (int tensor = world.size() > 4 ? 4 : 1; tensor <= std::min(world.size(), 4); tensor *= 2)
    for (auto const& shape : mesh_shapes(world.size(), tensor))
      for (auto const sharding : all_shardings) {
        if (sharding != effective(sharding, shape)) continue;
        comm::Mesh const mesh(world, shape);
        auto const path = folder / concat(tensor, shape.shard, static_cast<int>(sharding), ".safetensors");
        {
          auto model = deferred([&] { return autoencoder(mesh.tensor(), names); });
          parallel::DataParallel training(Space(), mesh, model, sharding);
          save_checkpoint(world, path, training);
          CHECK(everywhere(world, bytes_of(path) == bytes_of(own)));
          CHECK(everywhere(world, read_metadata(world, path).description == one.describe()));
        }
        auto model = deferred([&] { return autoencoder(mesh.tensor(), others); });
        parallel::DataParallel training(Space(), mesh, model, sharding);
        CHECK(load_checkpoint(world, path, training).remarks.size() == 1);
        CHECK(everywhere(world, values_of(training) == part_of(expected, training)));
      }
}

TEST_CASE("a checkpoint is read into a deferred model, and goes on as what wrote it") {
  comm::Communicator const world;
  TemporaryFolder const folder(world);
  Replica<Space, double> written(world, {1, 1, world.size()}, Sharding::none);
  written.step();
  save_checkpoint(world, folder / "model.safetensors", {written.training, written.optimizer});
  auto const expected = values_of(written.model);
  for (auto const& shape : mesh_shapes(world.size()))
    for (auto const sharding : all_shardings) {
      Replica<Space, double> read(world, shape, sharding, deferred_units<Space, double>());
      load_checkpoint(world, folder / "model.safetensors", {read.training, read.optimizer});
      CHECK(everywhere(world, values_of(read.training) == part_of(expected, read.training)));
      CHECK(relative_difference(read.evaluate(), written.evaluate()) < 1e-12);
      CHECK(relative_difference(read.step(), written.evaluate()) < 1e-12);
    }
}

} // namespace parallel_deferred
