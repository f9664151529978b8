// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <random>
#include <stdexcept>
#include <string>
#include <support/launched.hpp>
#include <support/made_folder.hpp>
#include <vector>

// kill_driver <program and its launcher>...: runs kill_program once without disturbance, then kills it with SIGKILL
// after random times, DCHAG_KILLS times (10 if not said), and starts it again each time. Every run must find the
// checkpoint of the last step that the killed one had reported, or a newer one, and repeat the losses of the
// undisturbed run bit for bit.
namespace {

using dchag::test::Launched;
using Clock = Launched::Clock;
using Losses = std::map<long, std::string>;

int const steps = 60;

struct Outcome {
  long start = -1; // the step it went on from
  long last = -1;  // the last step that it reported
  bool done = false;
};

/// Runs until the end, or for so long after it has begun to train.
Outcome run(std::vector<std::string> command, std::filesystem::path const& folder, Losses& losses, bool reference,
            std::chrono::microseconds life) {
  command.push_back(folder.string());
  command.push_back(std::to_string(steps));
  Launched program(command);
  Outcome outcome;
  auto until = Clock::now() + std::chrono::seconds(60);
  bool killed = false;
  std::string line;
  for (;;) {
    if (!program.next_line(line, until)) {
      if (killed || life.count() == 0 || outcome.start < 0) break;
      program.kill_all();
      killed = true; // what it had printed is still to be read
      until = Clock::now() + std::chrono::seconds(10);
      continue;
    }
    char word[16] = {}, bits[32] = {};
    long step = 0;
    if (std::sscanf(line.c_str(), "%15s %ld %31s", word, &step, bits) != 3) continue;
    if (std::strcmp(word, "start") == 0) {
      outcome.start = outcome.last = step;
      if (life.count() > 0) until = Clock::now() + life;
    }
    if (std::strcmp(word, "loss") == 0) {
      outcome.last = step;
      if (reference) losses[step] = bits;
      if (losses[step] != bits)
        throw std::runtime_error("step " + std::to_string(step) + " has loss " + bits + ", expected " + losses[step]);
    }
    if (std::strcmp(word, "done") == 0) {
      outcome.done = true;
      break;
    }
  }
  return outcome;
}

} // namespace

int main(int argc, char** argv) {
  std::vector<std::string> const command(argv + 1, argv + argc);
  if (command.empty()) return 2;
  auto const folder = dchag::test::make_folder("dchag_kill_");
  int code = 0;
  try {
    char const* const wanted = std::getenv("DCHAG_KILLS");
    int const kills = wanted != nullptr ? std::atoi(wanted) : 10;
    Losses losses;
    auto const begin = Clock::now();
    if (!run(command, folder / "undisturbed", losses, true, {}).done || losses.size() != steps)
      throw std::runtime_error("the undisturbed run did not end");
    auto const time = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begin).count();
    std::mt19937 random(1);
    std::uniform_int_distribution<long> microseconds(1, time / 3);
    long last = 0; // the step that the killed runs had reported
    int done = 0, within = 0;
    for (int kill = 0; kill < kills;) {
      auto const outcome =
          run(command, folder / "killed", losses, false, std::chrono::microseconds(microseconds(random)));
      if (outcome.start < last)
        throw std::runtime_error("a run went on from step " + std::to_string(outcome.start) + ", expected at least " +
                                 std::to_string(last));
      last = outcome.last;
      if (outcome.done) {
        std::filesystem::remove_all(folder / "killed");
        last = 0;
        if (++done > 10 * kills) throw std::runtime_error("it ends before it is killed");
        continue;
      }
      ++kill;
      for (auto const& entry : std::filesystem::directory_iterator(folder / "killed"))
        if (entry.path().extension() == ".unfinished") {
          ++within;
          break;
        }
    }
    auto const outcome = run(command, folder / "killed", losses, false, {});
    if (outcome.start < last || !outcome.done) throw std::runtime_error("the last run did not end");
    std::printf("%d kills, %d of them while a checkpoint was written; %d runs ended before\n", kills, within, done);
  } catch (std::exception const& error) {
    std::printf("error: %s\n", error.what());
    code = 1;
  }
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
  return code;
}
