// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause

// Backward passes of a step: unequal numbers of samples, none at all, too few passes, units that are not in each.
#include <dchag/parallel/data_parallel.hpp>

#include <support/replicas.hpp>
#include <support/sentence.hpp>

namespace parallel_passes {

using namespace dchag;
using namespace dchag::test;
using parallel::Sharding;
using Space = Kokkos::DefaultExecutionSpace;

namespace {

/// How the samples of a batch are cut into passes.
enum class Cut {
  growing,       ///< each pass has more than the one before; with eight passes the first has none
  first_is_idle, ///< the first replica has none at all
  last_is_idle   ///< the last pass of every other replica has none
};

/// Samples of pass k of K of this replica.
Range samples_of(comm::Mesh const& mesh, Cut cut, std::size_t B, std::size_t k, std::size_t K) {
  auto const R = static_cast<std::size_t>(mesh.replicas().size()),
             own = static_cast<std::size_t>(mesh.replicas().rank());
  std::vector<std::size_t> shares; // of each pass of each replica
  for (std::size_t r = 0; r < R; ++r)
    for (std::size_t i = 0; i < K; ++i) {
      bool const idle = (cut == Cut::first_is_idle && r == 0 && R > 1) ||
                        (cut == Cut::last_is_idle && i + 1 == K && r % 2 == 0 && R * K > 1);
      shares.push_back(idle ? 0 : r * K + i + 1);
    }
  std::size_t total = 0, before = 0;
  for (auto const share : shares) total += share;
  for (std::size_t i = 0; i < own * K + k; ++i) before += shares[i];
  return {B * before / total, B * (before + shares[own * K + k]) / total};
}

/// Of a step on samples that are cut unequally, the loss; `unit` is what one sample weighs.
template <class T>
double weighted_gradients(Replica<Space, T>& replica, Cut cut, std::size_t K, double unit) {
  double loss = 0, weight = 0;
  replica.training.begin_step(K);
  for (std::size_t k = 0; k < K; ++k) {
    auto const samples = samples_of(replica.mesh, cut, replica.B, k, K);
    if (samples.size() == 0) {
      replica.training.empty_pass();
      continue;
    }
    double const counts = unit * static_cast<double>(samples.size());
    replica.training.begin_pass(counts);
    replica.model.forward(replica.workspace, replica.context,
                          Kokkos::subview(replica.batch, std::pair(samples.begin, samples.end), Kokkos::ALL));
    loss += counts * replica.model.backward(replica.workspace, replica.context);
    weight += counts;
  }
  replica.training.finish_backward();
  return replica.training.mean(weight > 0 ? loss / weight : std::nan(""), weight);
}

template <class T>
void update(Replica<Space, T>& replica) {
  clip_gradients(replica.exec, replica.training, 0.05, replica.training.gradient_sum());
  replica.optimizer.step(replica.exec, replica.training, 1e-2);
  replica.training.values_changed();
}

/// Every mesh of all ranks and every policy, those with 2 tensor-parallel ranks included, which here compute the same.
template <class F>
void for_each_case(comm::Communicator const& world, F const& f) {
  for (int const tensor : {1, 2})
    for (auto const& shape : mesh_shapes(world.size(), tensor))
      for (auto const sharding : all_shardings) {
        if (sharding != effective(sharding, shape)) continue;
        CAPTURE(tensor);
        CAPTURE(shape.shard);
        CAPTURE(shape.data);
        CAPTURE(static_cast<int>(sharding));
        f(shape, sharding);
      }
}

/// Forward and backward on the whole batch.
template <class T>
void pass(Replica<Space, T>& replica) {
  replica.model.forward(replica.workspace, replica.context, replica.batch);
  replica.model.backward(replica.workspace, replica.context);
}

/// What a step of K passes says of which so many are made.
template <class T>
std::string sentence_of_step(Replica<Space, T>& replica, std::size_t K, std::size_t made) {
  return sentence_of([&] {
    replica.training.begin_step(K);
    for (std::size_t k = 0; k < made; ++k) pass(replica);
    replica.training.finish_backward();
  });
}

bool contains(std::string const& text, std::string const& part) {
  return text.find(part) != std::string::npos;
}

} // namespace

TEST_CASE_TEMPLATE("unequal numbers of samples, or none, train as one rank does with the whole batch", T, float,
                   double) {
  comm::Communicator const world;
  for_each_case(world, [&](auto const& shape, Sharding sharding) {
    for (auto const cut : {Cut::growing, Cut::first_is_idle, Cut::last_is_idle})
      for (std::size_t const K : {1u, 2u, 3u}) {
        if (cut == Cut::last_is_idle && K == 1) continue;
        CAPTURE(static_cast<int>(cut));
        CAPTURE(K);
        Alone<Space, T> one;
        Replica<Space, T> replica(world, shape, sharding);
        double worst_loss = 0;
        WorstArray first;
        for (int step = 0; step < 3; ++step) {
          double const expected = one.step();
          double const found = weighted_gradients(replica, cut, K, step == 1 ? 0.37 : 1);
          if (step == 0) first = worst_error(gradients_of(replica.training), part_of(one.gradients, replica.training));
          update(replica);
          worst_loss = std::max(worst_loss, relative_difference(found, expected));
        }
        CHECK(first < tolerance<T>(1e-5, 1e-12));
        CHECK(worst_loss < tolerance<T>(1e-4, 1e-11));
        CHECK(worst_error(values_of(replica.training), part_of(values_of(one.model), replica.training)) <
              tolerance<T>(1e-3, 1e-10));
      }
  });
}

TEST_CASE("a step of unequal passes allocates nothing in steady state") {
  comm::Communicator const world;
  for_each_case(world, [&](auto const& shape, Sharding sharding) {
    Replica<Space, double> replica(world, shape, sharding);
    for (int step = 0; step < 2; ++step) weighted_gradients(replica, Cut::first_is_idle, 2, 1), update(replica);
    AllocationCounter const counter;
    weighted_gradients(replica, Cut::first_is_idle, 2, 1), update(replica);
    CHECK(counter.number() == counter.of_prefix("dchag::test::").number);
  });
}

TEST_CASE("fewer passes than begin_step says are an error on every rank, and the next step is as good") {
  comm::Communicator const world;
  for_each_case(world, [&](auto const& shape, Sharding sharding) {
    Replica<Space, double> clean(world, shape, sharding), replica(world, shape, sharding);
    bool const last_group = (world.rank() / shape.tensor + 1) * shape.tensor == world.size();
    struct Trial {
      std::size_t K, made_by_last, made_by_others;
    };
    for (auto const& [K, last, others] : {Trial{2, 1, 1}, Trial{2, 1, 2}, Trial{3, 0, 3}, Trial{2, 2, 0}}) {
      CAPTURE(K);
      bool const short_here = (last_group ? last : others) < K;
      bool const short_somewhere = last < K || (others < K && world.size() > shape.tensor);
      auto const sentence = sentence_of_step(replica, K, last_group ? last : others);
      auto const own = concat("DataParallel::finish_backward: backward passes are ", last_group ? last : others,
                              ", expected ", K, " as begin_step says");
      CHECK(everywhere(world, short_here ? contains(sentence, "DataParallel::finish_backward: backward passes are")
                              : short_somewhere ? contains(sentence, concat(", expected ", K, " as begin_step says"))
                                                : sentence.empty()));
      if (last == others) CHECK(sentence == own);
      CHECK_THROWS_WITH_AS(replica.training.finish_backward(),
                           "DataParallel: finish_backward outside of a step, expected begin_step before it", Error);
      clean.step(2);
      replica.step(2);
      CHECK(everywhere(world, values_of(clean.training) == values_of(replica.training)));
    }
  });
}

TEST_CASE("ranks that say different numbers of passes are refused on every rank") {
  comm::Communicator const world;
  if (world.size() == 1) return;
  for_each_case(world, [&](auto const& shape, Sharding sharding) {
    if (shape.ranks() / shape.tensor == 1) return;
    Replica<Space, double> clean(world, shape, sharding), replica(world, shape, sharding);
    std::size_t const K = world.rank() < shape.tensor ? 2 : 3;
    auto const sentence = sharding == Sharding::full ? sentence_of([&] { replica.training.begin_step(K); })
                                                     : sentence_of_step(replica, K, K);
    CHECK(sentence == concat("DataParallel::begin_step: micro_batches is 2 on rank 0 but 3 on rank ", shape.tensor));
    clean.step(2);
    replica.step(2);
    CHECK(everywhere(world, values_of(clean.training) == values_of(replica.training)));
  });
}

TEST_CASE("ranks of a tensor group that say different numbers of passes are refused on every rank") {
  comm::Communicator const world;
  if (world.size() % 2 != 0) return;
  for_each_case(world, [&](auto const& shape, Sharding sharding) {
    if (shape.tensor == 1) return;
    Replica<Space, double> clean(world, shape, sharding), replica(world, shape, sharding);
    std::size_t const K = world.rank() == 1 ? 2 : 1;
    auto const sentence = sentence_of([&] {
      replica.training.begin_step(K);
      for (std::size_t k = 0; k < K; ++k) {
        comm::all_reduce(replica.mesh.tensor(), 1, comm::Reduce::sum); // as a forward pass would
        pass(replica);
      }
      replica.training.finish_backward();
    });
    CHECK(sentence == "DataParallel::begin_step: micro_batches is 1 on rank 0 but 2 on rank 1");
    clean.step(2);
    replica.step(2);
    CHECK(everywhere(world, values_of(clean.training) == values_of(replica.training)));
  });
}

TEST_CASE("weights that differ within a tensor group and sum to the same are refused on every rank") {
  comm::Communicator const world;
  if (world.size() % 2 != 0) return;
  auto const sentence_of_weights = [&](double first, double second) {
    Replica<Space, double> replica(world, {2, 1, world.size() / 2}, Sharding::none);
    return sentence_of([&] {
      replica.training.begin_step(2);
      for (double const weight : {first, second}) {
        replica.training.begin_pass(weight);
        pass(replica);
      }
      replica.training.finish_backward();
    });
  };
  bool const second = world.rank() % 2 == 1;
  CHECK(everywhere(world, sentence_of_weights(3, 5).empty()));
  auto const within_a_group = world.rank() == 1 ? sentence_of_weights(5, 3) : sentence_of_weights(3, 5);
  CHECK(everywhere(world, contains(within_a_group, "DataParallel::begin_pass: weight of pass 1 of 2 is 3 on rank 0 but "
                                                   "5 on rank 1")));
  // group 1 has the weights of group 0 in the other order on both of its ranks, so that sums over groups agree too
  bool const turned = second != (world.rank() / 2 % 2 == 1);
  auto const between_groups = turned ? sentence_of_weights(5, 3) : sentence_of_weights(3, 5);
  CHECK(everywhere(world, contains(between_groups, "DataParallel::begin_pass: weight of pass 1 of 2 is ")));
}

TEST_CASE("what passes cannot count is refused") {
  comm::Communicator const world;
  Replica<Space, double> replica(world, {1, 1, world.size()}, Sharding::none);
  auto& training = replica.training;
  CHECK_THROWS_WITH_AS(training.empty_pass(),
                       "DataParallel: empty_pass outside of a step, expected begin_step before it", Error);
  training.begin_step();
  CHECK_THROWS_AS(training.begin_pass(0), Error);
  CHECK_THROWS_AS(training.begin_pass(-1), Error);
  CHECK_THROWS_AS(training.begin_pass(std::nan("")), Error);
  CHECK_THROWS_AS(training.begin_pass(std::numeric_limits<double>::infinity()), Error);
  training.empty_pass();
  CHECK_THROWS_WITH_AS(training.empty_pass(),
                       "DataParallel: empty_pass once more after 1 passes, expected as many as begin_step says", Error);
  CHECK_THROWS_WITH_AS(training.finish_backward(),
                       "DataParallel::finish_backward: weights sum to 0, expected a replica with samples", Error);
  CHECK_THROWS_WITH_AS(training.mean(1, 0), "DataParallel::mean: weights sum to 0, expected above 0", Error);
  training.begin_step(2);
  training.begin_pass(3);
  { auto const use = replica.model.units[2].in_backward(); }
  CHECK_THROWS_WITH_AS(
      replica.model.units[2].in_backward(),
      "DataParallel: unit2 goes backward once more in one pass, expected begin_pass before each or none", Error);
  if (world.size() % 2 != 0) return; // a tensor group that does not agree
  Replica<Space, double> shared(world, {2, 1, world.size() / 2}, Sharding::none);
  shared.training.begin_step();
  shared.training.begin_pass(world.rank() == 1 ? 5 : 4);
  pass(shared);
  auto const sentence = sentence_of([&] { shared.training.finish_backward(); });
  CHECK(everywhere(world, contains(sentence, "DataParallel::finish_backward: weights sum to ") &&
                              contains(sentence, concat(", expected ", 2 * world.size(), " as on the first of each"))));
}

TEST_CASE("the mean over the replicas is the same number on all ranks") {
  comm::Communicator const world;
  for (int const tensor : {1, 2})
    for (auto const& shape : mesh_shapes(world.size(), tensor)) {
      Replica<Space, double> replica(world, shape, Sharding::none);
      auto const& mesh = replica.mesh;
      double const r = mesh.replicas().rank(), R = mesh.replicas().size();
      double const own = 1 + r + 1e-9 * mesh.tensor_index(); // the ranks of a group round differently
      CHECK(everywhere(world, replica.training.mean(own) == (R + 1) / 2));
      // replica r counts r times, and the first has nothing to say
      double sum = 0, weights = 0;
      for (double i = 1; i < R; ++i) sum += i * (i + 1), weights += i;
      if (R > 1)
        CHECK(everywhere(world, replica.training.mean(r == 0 ? std::nan("") : own, r) ==
                                    doctest::Approx(sum / weights).epsilon(1e-15)));
    }
}

TEST_CASE("units need not be in every pass") {
  comm::Communicator const world;
  for_each_case(world, [&](auto const& shape, Sharding sharding) {
    Replica<Space, double> replica(world, shape, sharding);
    auto const r = static_cast<double>(replica.mesh.replicas().rank());
    // In order; the last pass misses units 0 and 4. Other replicas use other units; of `full`, other copies.
    int const alike = sharding == Sharding::full ? shape.shard : 1; // so many replicas use the same
    bool const other = replica.mesh.replicas().rank() / alike % 2 == 1;
    std::vector<std::vector<std::size_t>> const passes =
        other ? std::vector<std::vector<std::size_t>>{{2, 1}, {4, 2, 0}}
              : std::vector<std::vector<std::size_t>>{{4, 2, 1}, {3, 2, 1}};
    replica.training.begin_step(2);
    for (auto const& pass : passes)
      for (auto const i : pass) {
        auto const use = replica.model.units[i].in_backward();
        auto const& gradients = replica.model.layers[i].weight.gradients();
        assign(gradients, sum_of(flat(gradients), std::vector<double>(gradients.size(), r + 1)));
      }
    replica.training.finish_backward();
    double const R = replica.mesh.replicas().size();
    Numbers expected;
    for (std::size_t i = 0; i < replica.model.depth; ++i) {
      double sum = 0;
      for (int replica_index = 0; replica_index < replica.mesh.replicas().size(); ++replica_index) {
        bool const odd = replica_index / alike % 2 == 1;
        double const uses[] = {odd ? 1. : 0., odd ? 1. : 2., 2, odd ? 0. : 1., 1};
        sum += uses[i] * (replica_index + 1);
      }
      auto const& spec = replica.model.layers[i].weight.spec();
      expected[spec.name] = std::vector<double>(spec.box_size(), sum / (2 * R));
    }
    double worst = 0;
    replica.training.for_each_parameter([&](auto& parameter) {
      if (!expected.count(parameter.name())) return;
      for (double x : flat(parameter.gradients()))
        worst = std::max(worst, std::fabs(x - expected.at(parameter.name()).front()));
    });
    CHECK(worst < 1e-14);
  });
  // passes that share no unit are announced
  Replica<Space, double> replica(world, {1, 1, world.size()}, Sharding::none);
  replica.training.begin_step(2);
  for (std::size_t const i : {1u, 3u}) {
    replica.training.begin_pass();
    auto const use = replica.model.units[i].in_backward();
    Kokkos::deep_copy(replica.model.layers[i].weight.gradients(), 4.0);
  }
  replica.training.finish_backward();
  CHECK(everywhere(world, flat(replica.model.layers[1].weight.gradients()).front() == 2));
  CHECK(everywhere(world, flat(replica.model.layers[3].weight.gradients()).front() == 2));
}

} // namespace parallel_passes
