// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause

// A training that a signal ended goes on from its checkpoint, on this mesh or another, as if nothing had happened.
#include "progress_state.hpp"
#include "training.hpp"

#include <doctest/doctest.h>
#include <mpi.h>

#include <csignal>
#include <fstream>
#include <sstream>
#include <support/made_folder.hpp>
#include <support/other_processor.hpp>
#include <support/sentence.hpp>
#include <support/temporary_folder.hpp>
#include <sys/resource.h>
#include <type_traits>

namespace {

using namespace hyperspectral;
using dchag::comm::Communicator;
using dchag::comm::Mesh;
using dchag::comm::MeshShape;

Options small_options(std::filesystem::path out) {
  Options options;
  options.model.channels = 12;
  options.model.channel_names =
      Dataset({.scene = {.lines = 8, .samples = 8, .bands = 12}, .test_scenes = 1, .statistics_scenes = 1})
          .channel_names();
  options.model.crop = 8;
  options.model.width = 16;
  options.model.depth = 1;
  options.model.decoder_width = 16;
  options.model.decoder_depth = 1;
  options.model.dropout = 0.1;
  options.scene_bands = 12;
  options.test_count = 2;
  options.batch = 4;
  options.steps = 7; // the last evaluation is not at a multiple of the others
  options.warmup = 1;
  options.evaluations = 2;
  options.out = std::move(out);
  return options;
}

Curve run(Options const& options, Dataset const& data, Communicator const& world, MeshShape shape) {
  Mesh const mesh(world, shape);
  auto settings = options.model;
  settings.sharding = shape.shard > 1 ? dchag::parallel::Sharding::full : dchag::parallel::Sharding::none;
  auto const model = make_model("c0@4", settings, mesh);
  return train(*model, "c0@4", data, make_evaluation(data, options), options, world);
}

std::string curve_of(Options const& options) {
  std::ifstream file(options.out / "curve_c0@4.csv");
  std::string line, text;
  while (std::getline(file, line)) text += line.substr(0, line.rfind(',')) + '\n'; // without the seconds
  return text;
}

} // namespace

TEST_CASE("a training that SIGTERM ended goes on where it was") {
  Communicator const world(MPI_COMM_WORLD);
  dchag::test::TemporaryFolder const base(world);
  Dataset const data({.scene = {.lines = 8, .samples = 8, .bands = 12}, .test_scenes = 2});
  MeshShape const shared{world.size(), 1, 1};
  MeshShape const sharded{1, world.size(), 1};

  auto const whole = small_options(base / "whole");
  catch_signals();
  auto const uninterrupted = run(whole, data, world, shared);
  REQUIRE(!uninterrupted.stopped);

  auto parts = small_options(base / "parts");
  std::raise(SIGTERM);
  CHECK(run(parts, data, world, shared).stopped);
  catch_signals();
  parts.resume = true;
  auto const resumed = run(parts, data, world, shared);
  CHECK(resumed.train_loss == uninterrupted.train_loss); // bit for bit
  CHECK(resumed.test_loss == uninterrupted.test_loss);
  if (world.rank() == 0) CHECK(curve_of(parts) == curve_of(whole));

  auto const finished = run(parts, data, world, shared); // nothing is left to do, and the curve is still there
  CHECK(finished.step_seconds == 0);
  CHECK(finished.steps == uninterrupted.steps);
  CHECK(finished.test_loss == uninterrupted.test_loss);
  if (world.rank() == 0) CHECK(curve_of(parts) == curve_of(whole));

  auto halfway = small_options(base / "halfway"); // after the first of two evaluations
  halfway.checkpoint_every = 3;
  run(halfway, data, world, shared);
  MPI_Barrier(world.native());
  if (world.rank() == 0) CHECK(std::filesystem::remove(halfway.out / "checkpoints_c0@4" / "step_00000007.safetensors"));
  MPI_Barrier(world.native());
  halfway.resume = true;
  auto const second_half = run(halfway, data, world, shared);
  CHECK(second_half.step_seconds > 0);
  CHECK(second_half.steps == uninterrupted.steps);
  CHECK(second_half.train_loss == uninterrupted.train_loss);
  CHECK(second_half.test_loss == uninterrupted.test_loss);
  if (world.rank() == 0) CHECK(curve_of(halfway) == curve_of(whole));

  auto elsewhere = small_options(base / "elsewhere"); // from one mesh to another
  std::raise(SIGTERM);
  CHECK(run(elsewhere, data, world, shared).stopped);
  catch_signals();
  elsewhere.resume = true;
  elsewhere.file_of_each_rank = true; // and from one layout to the other
  auto const moved = run(elsewhere, data, world, sharded);
  REQUIRE(moved.train_loss.size() == uninterrupted.train_loss.size());
  for (std::size_t i = 0; i < moved.train_loss.size(); ++i)
    CHECK(moved.train_loss[i] == doctest::Approx(uninterrupted.train_loss[i]).epsilon(1e-4));

  CHECK(run(elsewhere, data, world, sharded).train_loss == moved.train_loss); // nothing is left to do
  MPI_Barrier(world.native());
  auto const index = elsewhere.out / "checkpoints_c0@4" / "step_00000007.safetensors.index.json";
  if (world.rank() == 0) CHECK(std::filesystem::exists(index));

  auto const refused = [&](auto const& change) { // another training
    auto other = parts;
    change(other);
    return dchag::test::sentence_of([&] { run(other, data, world, shared); });
  };
  std::string const start = "--resume: the checkpoint was written with --";
  CHECK(refused([](Options& other) { other.learning_rate *= 2; }).rfind(start + "rate 0.002, expected 0.004", 0) == 0);
  CHECK(refused([](Options& other) {
          other.model.heads = 2;
        }).ends_with("was written with aggregation heads 4, expected 2; encoder heads 4, expected 2"));
  CHECK(refused([](Options& other) {
          other.model.channel_names[0] = "1 nm";
        }).ends_with("missing channels 1 nm | unexpected channels 400 nm"));
  CHECK(refused([](Options& other) { other.model.loss_everywhere = true; }).rfind(start + "loss-everywhere", 0) == 0);
  CHECK(refused([](Options& other) {
          other.evaluations = 3;
          other.model.recompute = true;
          other.model.materialized = true;
        }).empty());
  if (world.size() > 1) { // what one rank alone refuses, all do: the others would wait for it
    auto const sentence = refused([&](Options& other) {
      if (world.rank() == 1) other.learning_rate *= 2;
    });
    CHECK(sentence == (world.rank() == 1 ? "" : dchag::concat("rank 1 of ", world.size(), ": ")) + start +
                          "rate 0.002, expected 0.004");
  }
  Dataset const others({.scene = {.lines = 8, .samples = 8, .bands = 12, .seed = 1}, .test_scenes = 2});
  CHECK_THROWS_AS(run(parts, others, world, shared), dchag::Error);
}

TEST_CASE("a training that goes on with other --evaluations keeps the rows of its curve") {
  Communicator const world(MPI_COMM_WORLD);
  dchag::test::TemporaryFolder const base(world);
  Dataset const data({.scene = {.lines = 8, .samples = 8, .bands = 12}, .test_scenes = 2});
  auto options = small_options(base / "out");
  options.evaluations = 7; // of 7 steps: a row for each
  options.checkpoint_every = 5;
  run(options, data, world, {world.size(), 1, 1});
  MPI_Barrier(world.native());
  if (world.rank() == 0) CHECK(std::filesystem::remove(options.out / "checkpoints_c0@4" / "step_00000007.safetensors"));
  MPI_Barrier(world.native());
  options.evaluations = 2;
  options.resume = true;
  auto const curve = run(options, data, world, {world.size(), 1, 1});
  CHECK(curve.steps == std::vector<double>{1, 2, 3, 4, 5, 6, 7});
}

TEST_CASE("the table of a curve is cut beside itself: it is whole before, after, and where that fails") {
  if (Communicator(MPI_COMM_WORLD).rank() != 0) return;
  auto const folder = dchag::test::make_folder("dchag_curve_");
  auto const table = folder / "curve.csv";
  auto const write = [&](std::string const& text) { std::ofstream(table, std::ios::binary) << text; };
  auto const read = [&] {
    std::ifstream file(table, std::ios::binary);
    return std::string{std::istreambuf_iterator<char>(file), {}};
  };
  auto const files = [&] { return std::distance(std::filesystem::directory_iterator(folder), {}); };
  CHECK(cut_curve(table, 3).empty());
  CHECK(files() == 0);
  std::string const head = "step,train_loss\n";
  std::string const rows = "1,0.5\n2,0.25\n30,0.125\n";
  write(head + rows + "3,0.0625"); // torn
  CHECK(cut_curve(table, 30) == rows);
  CHECK(read() == head + rows);
  CHECK(cut_curve(table, 2) == "1,0.5\n2,0.25\n");
  CHECK(read() == head + "1,0.5\n2,0.25\n");
  CHECK(cut_curve(table, 0).empty());
  CHECK(read() == head);
  write(head + rows);
  {
    auto* const handler = std::signal(SIGXFSZ, SIG_IGN);
    rlimit before = {};
    getrlimit(RLIMIT_FSIZE, &before);
    rlimit full = before;
    full.rlim_cur = 4; // bytes, as if the disk were full
    setrlimit(RLIMIT_FSIZE, &full);
    auto const sentence = dchag::test::sentence_of([&] { cut_curve(table, 2); });
    setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, handler);
    CHECK(sentence == "--resume: cannot write '" + table.string() + "': File too large");
  }
  CHECK(read() == head + rows);
  CHECK(files() == 1);
  std::filesystem::remove(table);
  std::filesystem::create_directory(table);
  CHECK(dchag::test::sentence_of([&] { cut_curve(table, 2); }) ==
        "--resume: cannot read '" + table.string() + "': Is a directory");
  std::filesystem::remove_all(folder);
}

TEST_CASE("where ranks round differently a run passes its checkpoints, and all hold what is stored") {
  Communicator const world(MPI_COMM_WORLD);
  dchag::test::OtherProcessor const other(world.rank() == 1);
  dchag::test::TemporaryFolder const base(world);
  auto options = small_options(base / "out");
  options.model.width = options.model.decoder_width = 64;
  options.checkpoint_every = 3;
  Dataset const data({.scene = {.lines = 8, .samples = 8, .bands = 12}, .test_scenes = 2});
  Mesh const mesh(world, {world.size(), 1, 1});
  auto const model = make_model("c0@4", options.model, mesh);
  auto const evaluation = make_evaluation(data, options);
  auto const curve = train(*model, "c0@4", data, evaluation, options, world);
  CHECK(curve.steps == std::vector<double>{3, 6, 7});

  auto const same = [&](std::vector<float> const& numbers) {
    return dchag::comm::all_reduce(world, numbers, dchag::comm::Reduce::min) ==
           dchag::comm::all_reduce(world, numbers, dchag::comm::Reduce::max);
  };
  auto const values = [&] { // of the arrays that every rank holds: optimizer, decoder and head
    std::vector<float> all;
    auto const checkpoint = model->checkpoint({});
    for (auto const& array : checkpoint.arrays())
      if (array.name.find("decoder") != array.name.npos || array.name.find("head") != array.name.npos)
        array.read([&](void const* numbers) {
          auto const* const begin = static_cast<float const*>(numbers);
          all.insert(all.end(), begin, begin + array.piece.size());
        });
    return all;
  };
  auto const before = values();
  CHECK(before.size() > 3 * 64 * 64);
  CHECK(same(before));
  dchag::load_checkpoint(world, options.out / "checkpoints_c0@4" / "step_00000007.safetensors", model->checkpoint({}));
  CHECK(values() == before);
  bool const alike = same(model->predict(evaluation.batch, evaluation.visible));
  // They do round so where Eigen computes the products.
  constexpr bool on_host = std::is_same_v<Kokkos::DefaultExecutionSpace::memory_space, Kokkos::HostSpace>;
  if (on_host && world.size() > 1) CHECK_FALSE(alike);
}
