// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause

// The same model on one rank and on all: the loss curves agree, step by step, on the real tiles where they are at hand
// and on made-up scenes elsewhere.
#include <dchag/comm/collectives.hpp>

#include "data/dataset.hpp"
#include "data/read.hpp"
#include "model.hpp"

#include <doctest/doctest.h>
#include <mpi.h>

#include <cstdlib>

namespace {

using namespace hyperspectral;

constexpr std::size_t steps = 200;
constexpr std::size_t samples = 2;

Dataset tiles_or_scenes() {
  char const* const folder = std::getenv("DCHAG_DATA_DIR");
  std::filesystem::path const tiles =
      std::filesystem::path(folder ? folder : "") / "hyperspectral" / "neon_tree_crowns";
  if (folder && std::filesystem::exists(tiles)) return Dataset(read_cubes({tiles}), {.test_count = 10});
  MESSAGE("skipped the real tiles, none in DCHAG_DATA_DIR: ", tiles.string());
  return Dataset({.scene = {.lines = 20, .samples = 20, .bands = 61}, .test_scenes = 2});
}

std::vector<double> losses(std::string const& name, ModelSettings const& settings, Dataset const& data,
                           dchag::comm::Communicator const& communicator) {
  dchag::comm::Mesh const mesh(communicator, {communicator.size(), 1, 1});
  auto const model = make_model(name, settings, mesh);
  std::vector<float> batch(samples * settings.channels * settings.crop.pixels());
  std::vector<double> curve;
  for (std::size_t step = 0; step < steps; ++step) {
    // Of made-up scenes, which never end, a few come again and again: 200 steps learn nothing of all.
    std::size_t const draw = data.is_endless() ? step % 2 : step;
    data.batch(Split::train, {settings.seed, draw}, settings.crop, true, batch);
    curve.push_back(model->train(batch, step, 1e-3).loss);
  }
  return curve;
}

void compare(Precision precision, double tolerance) {
  auto const data = tiles_or_scenes();
  ModelSettings settings;
  settings.channels = data.channels();
  settings.crop = 20;
  settings.width = 16;
  settings.heads = 2;
  settings.depth = 1;
  settings.decoder_width = 16;
  settings.decoder_depth = 1;
  settings.decoder_heads = 2;
  settings.seed = 7;
  settings.precision = precision;
  dchag::comm::Communicator const world(MPI_COMM_WORLD);
  for (std::string const name : {"flat", "c0@4", "l2@4"}) {
    CAPTURE(name);
    auto const one = losses(name, settings, data, dchag::comm::Communicator::self());
    auto const all = losses(name, settings, data, world);
    double worst = 0;
    for (std::size_t step = 0; step < steps; ++step)
      worst = std::max(worst, std::abs(all[step] - one[step]) / std::abs(one[step]));
    worst = dchag::comm::all_reduce(world, worst, dchag::comm::Reduce::max);
    MESSAGE(name, " on P = ", world.size(), ": losses differ by ", worst, ", from ", one.front(), " to ", one.back());
    CHECK(worst <= tolerance);
    CHECK(one.back() < 0.9 * one.front()); // it did learn
  }
}

TEST_CASE("in double the loss curves of P ranks and of one agree to 1e-9") {
  compare(Precision::double_, 1e-9);
}
TEST_CASE("in float the loss curves of P ranks and of one agree to 1e-3") {
  compare(Precision::single, 1e-3);
}

} // namespace
