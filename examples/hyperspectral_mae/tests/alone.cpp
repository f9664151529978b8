// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause

// alone <memory or files> <stage> <folder>: a small run like that of main.cpp, of which the last rank may have no more
// memory, or may open no more files, from a stage on. Every rank must end, and one sentence must say why.
#include <dchag/comm/session.hpp>

#include "checks.hpp"
#include "reading.hpp"
#include "stage.hpp"
#include "training.hpp"

#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <functional>
#include <string_view>
#include <sys/resource.h>
#include <unistd.h>
#include <utility>

namespace {

using namespace hyperspectral;
using dchag::comm::Communicator;

/// From now on this process gets no more memory from the system; and, where `freed_too`, no piece of 32 KiB or more of
/// what it has freed.
void end_memory(bool freed_too) {
  std::ifstream statm("/proc/self/statm");
  std::size_t pages = 0;
  statm >> pages;
  rlimit limit{};
  getrlimit(RLIMIT_AS, &limit);
  limit.rlim_cur = pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  setrlimit(RLIMIT_AS, &limit);
  if (!freed_too) return;
  for (std::size_t bytes = std::size_t{1} << 26; bytes >= std::size_t{1} << 15; bytes /= 2)
    for (void* taken = std::malloc(bytes); taken != nullptr; taken = std::malloc(bytes))
      asm volatile("" ::"r"(taken) : "memory"); // or the compiler takes nothing
}

/// Every open() fails with EMFILE.
void end_files() {
  int const next = open("/dev/null", O_RDONLY);
  close(next);
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = static_cast<rlim_t>(next);
  setrlimit(RLIMIT_NOFILE, &limit);
}

/// Calls `at` with the name of what begins.
class Watched : public Model {
public:
  using At = std::function<void(std::string_view)>;
  /// `resumes`: the first checkpoint that is asked for is one to be loaded.
  Watched(Model& model, At at, bool resumes) : m_model(model), m_at(std::move(at)), m_resumes(resumes) {}

  Step train(std::span<float const> batch, std::uint64_t draw, double learning_rate) override {
    m_at("stepping");
    return m_model.train(batch, draw, learning_rate);
  }
  double evaluate(std::span<float const> batch, Visible const& visible) override {
    return m_model.evaluate(batch, visible);
  }
  std::vector<float> predict(std::span<float const> batch, Visible const& visible) override {
    return m_model.predict(batch, visible);
  }
  dchag::Checkpoint checkpoint(dchag::Metadata metadata) override {
    m_at(std::exchange(m_resumes, false) ? "loading" : "writing");
    return m_model.checkpoint(std::move(metadata));
  }
  std::size_t parameters() override { return m_model.parameters(); }
  std::vector<dchag::ParameterNorm> norms() override { return m_model.norms(); }

private:
  Model& m_model;
  At m_at;
  bool m_resumes;
};

/// Sizes for which every stage needs a piece of memory that is larger than what malloc keeps at hand.
Options small_options(Communicator const& world, std::filesystem::path out) {
  Options options;
  options.out = std::move(out);
  options.scene_bands = 32;
  options.model.crop = 16;
  options.model.patch = 4;
  options.model.width = 128;
  options.model.depth = 1;
  options.model.decoder_width = 128;
  options.model.decoder_depth = 1;
  options.test_count = 2;
  options.batch = 2;
  options.steps = 2;
  options.evaluations = 1;
  options.warmup = 1;
  options.mesh = {world.size(), 1, 1};
  options.models = {"c0@4"};
  return options;
}

/// ENVI cubes that the options fit.
void write_cubes(Options const& options) {
  std::filesystem::create_directories(options.data.front());
  for (int i = 0; i < 4; ++i) {
    auto const scene = make_scene({.lines = 64, .samples = 64, .bands = 32, .seed = std::uint64_t(i)});
    auto const stem = options.data.front() / ("cube" + std::to_string(i));
    std::ofstream(stem.string() + ".hdr")
        << "ENVI\nsamples = 64\nlines = 64\nbands = 32\ndata type = 4\ninterleave = bsq\nbyte order = 0\n";
    std::ofstream(stem.string() + ".raw", std::ios::binary)
        .write(reinterpret_cast<char const*>(scene.values.data()),
               static_cast<std::streamsize>(scene.values.size() * sizeof(float)));
  }
}

int run(std::string_view what, std::string_view fatal, std::filesystem::path const& out, Communicator const& world) {
  auto const at = [&](std::string_view stage) {
    if (stage == fatal && world.rank() + 1 == world.size())
      what == "memory" ? end_memory(stage == "loading" || stage == "writing") : end_files();
  };
  auto options = small_options(world, out);
  options.data = {options.out / "cubes"};
  if (world.rank() == 0) {
    std::filesystem::remove_all(options.out);
    write_cubes(options);
  }
  MPI_Barrier(world.native());
  dchag::comm::Mesh const mesh(world, options.mesh);

  at("reading");
  auto const data = local_stage(world, "reading the data", [&] { return read_data(options); });
  options.model.channels = data.channels();
  auto const evaluation = make_evaluation(data, options);
  auto const train_once = [&] {
    at("building");
    auto const model = stage(world, "building c0@4", [&] { return make_model("c0@4", options.model, mesh); });
    Watched watched(*model, at, options.resume);
    stage(world, "training c0@4", [&] { train(watched, "c0@4", data, evaluation, options, world); });
  };
  if (fatal == "loading") { // there must be something to load
    train_once();
    options.resume = true;
  }
  train_once();
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  dchag::comm::Session const session(argc, argv);
  Kokkos::ScopeGuard const kokkos;
  Communicator const world(MPI_COMM_WORLD);
  if (argc != 4) return 2;
  return dchag::comm::run_main(world, [&] { return run(argv[1], argv[2], argv[3], world); });
}
