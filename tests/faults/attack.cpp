// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "folder.hpp"
#include "run.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <set>
#include <sstream>
#include <sys/wait.h>

// Runs the example undisturbed, and then again and again with one call that fails on one rank, or at which the rank is
// killed. Every such run must end in time with one sentence that says what failed, must lose nothing, and the run that
// goes on from what it left must end with the same files, bit for bit.
//
//   cmake --build build/release --target attack                 all of it: hours
//   attack <folder> --ranks 2 --scenarios resumed --calls read  a part; the folder keeps the undisturbed runs
namespace {

using namespace dchag::faults;
namespace fs = std::filesystem;

struct Scenario {
  char const* name;
  bool resumed;      // goes on from two checkpoints, or begins
  bool strikes_data; // files of the data are struck, or the run's own
};
constexpr Scenario scenarios[] = {{"data", false, true}, {"new", false, false}, {"resumed", true, false}};

struct Options {
  Folders folders;
  Setup setup;
  std::vector<int> ranks{1, 2, 4};
  std::vector<std::string> scenarios{"data", "new", "resumed"};
  std::vector<std::string> calls; // all that are made
  std::vector<long> times{1, 2, 3, 4, 5};
  std::vector<std::string> hows; // all that fit the call
  int rank = -1;                 // the first and the last
  bool prepare_only = false, prepared = false;
};

/// Where the calls of a scenario are struck.
std::string struck_folder(Options const& options, Scenario const& scenario, fs::path const& scratch) {
  return (scenario.strikes_data ? options.setup.data : scratch / "out").string();
}

[[noreturn]] void give_up(std::string const& what, Outcome const& outcome) {
  throw std::runtime_error(what + "\n" + outcome.text());
}

// --- the undisturbed runs -------------------------------------------------------------------------------------------

/// Runs the program undisturbed from its beginning, a second time until it is killed as it writes its last checkpoint,
/// and on from there; counts the calls of the first and of the last.
void prepare(Options const& options, int ranks) {
  auto const& folders = options.folders;
  fs::remove_all(folders.ranks(ranks));
  for (auto const& scenario : scenarios) {
    auto const scratch = folders.ranks(ranks) / "undisturbed" / scenario.name;
    fs::create_directories(scratch);
    if (scenario.resumed) fs::copy(folders.started(ranks), scratch / "out", fs::copy_options::recursive);
    auto const outcome = run(options.setup, ranks, scratch, scenario.resumed, {},
                             struck_folder(options, scenario, scratch), folders.counts(ranks, scenario.name));
    if (!outcome.succeeded() || !outcome.errors.empty()) give_up("the undisturbed run failed", outcome);
    if (scenario.strikes_data) {
      fs::rename(scratch / "out", folders.whole(ranks));
      auto const killed = folders.ranks(ranks) / "killed";
      fs::create_directories(killed / "out");
      add_files_of_the_user(killed / "out");
      auto const first_words = (killed / "out" / "checkpoints_c0@4" / "step_00000006").string();
      auto const ended = run(options.setup, ranks, killed, false, {"open", 1, "kill", 0}, first_words);
      if (!ended.struck) give_up("no file of the last checkpoint was opened", ended);
      fs::rename(killed / "out", folders.started(ranks));
      continue;
    }
    auto const left = files_below(scratch / "out"), whole = files_below(folders.whole(ranks));
    auto wrong = differences(left, whole);
    if (scenario.resumed) {
      auto const gone = lost(files_below(folders.started(ranks)), left, whole);
      wrong.insert(wrong.end(), gone.begin(), gone.end());
    }
    if (!wrong.empty()) give_up(std::string("undisturbed, ") + scenario.name + ": " + wrong.front(), outcome);
  }
}

// --- what is expected -----------------------------------------------------------------------------------------------

/// A failure that loses nothing: of closing what was only read, of removing what is of no use any more, of freeing, and
/// a read or write that is interrupted or short.
bool is_survived(Fault const& fault, std::string const& what) {
  static std::set<std::string> const freeing{"MPI_Comm_free", "MPI_Type_free", "MPI_Finalize"};
  if (fault.kills()) return false;
  // The lock's text only tells a refused job who holds it; nothing depends on it.
  bool const of_lock = what.ends_with("checkpoints.lock") &&
                       (fault.call == "write" || fault.call == "truncate" || fault.call == "close");
  return of_lock || fault.how == "half" || fault.how == "EINTR" || freeing.count(fault.call) > 0 ||
         (fault.call == "close" && what.starts_with("r: "));
}

/// Removing is tidying up or a step of the run's, and what a question cannot answer the call after it may: both are
/// right if all ends well.
bool may_be_survived(Fault const& fault) {
  return fault.call == "remove" || fault.call == "stat";
}

/// What is wrong with the sentences of a run that failed.
std::vector<std::string> wrong_sentences(Fault const& fault, Outcome const& outcome) {
  if (fault.kills()) {
    if (outcome.errors.empty()) return {};
    return {"stderr has " + std::to_string(outcome.errors.size()) + " lines besides the launcher's, expected none"};
  }
  std::vector<std::string> wrong;
  if (outcome.errors.size() != 1 || !outcome.errors[0].starts_with("error: ")) {
    wrong.push_back("stderr has " + std::to_string(outcome.errors.size()) +
                    " lines besides the launcher's, expected one, which begins with 'error: '");
    return wrong;
  }
  auto const& sentence = outcome.errors[0];
  if (sentence.size() > 600) wrong.push_back("the sentence has " + std::to_string(sentence.size()) + " characters");
  auto const expect = [&](std::string const& part) {
    if (sentence.find(part) == sentence.npos) wrong.push_back("the sentence does not say '" + part + "'");
  };
  if (fault.call.starts_with("MPI_")) {
    expect(fault.call + ":");
  } else if (fault.call == "allocate") {
    // A View says its label, and how much memory it takes.
    bool const of_view =
        sentence.find("out of memory: 'dchag::") != sentence.npos && sentence.find(" GiB") != sentence.npos;
    if (!of_view) expect("out of memory: " + *outcome.struck + " bytes are wanted");
  } else {
    static std::map<std::string, int> const numbers{
        {"EIO", EIO}, {"ENOSPC", ENOSPC}, {"EACCES", EACCES}, {"EMFILE", EMFILE}, {"ENOMEM", ENOMEM}};
    expect(std::strerror(numbers.at(fault.how)));
    auto name = fs::path(outcome.struck->substr(outcome.struck->find('/'))).filename().string();
    for (char const* temporary : {".unfinished", ".partial"}) name = name.substr(0, name.find(temporary));
    expect(name);
  }
  return wrong;
}

std::vector<std::string> hows_of(Options const& options, std::string const& call, long at) {
  std::vector<std::string> hows;
  auto const one_of = [&](std::vector<char const*> const& errors) {
    hows.emplace_back(errors[static_cast<std::size_t>(at - 1) % errors.size()]);
  };
  if (call.starts_with("MPI_"))
    one_of({"EIO"});
  else if (call == "allocate")
    one_of({"ENOMEM"});
  else if (call == "open")
    one_of({"EMFILE", "EACCES", "EIO", "ENOMEM"});
  else if (call == "write" || call == "mkdir")
    one_of({"ENOSPC", "EIO"});
  else if (call == "rename" || call == "stat")
    one_of({"EACCES", "EIO"});
  else
    one_of({"EIO"});
  hows.emplace_back("kill");
  if (call == "read") hows.insert(hows.end(), {"half", "EINTR"});
  if (call == "write") hows.insert(hows.end(), {"half", "torn", "EINTR"});
  if (options.hows.empty()) return hows;
  std::erase_if(hows, [&](auto const& how) {
    bool const wanted =
        std::ranges::count(options.hows,
                           how == "kill" || how == "half" || how == "torn" || how == "EINTR" ? how : "fail") > 0;
    return !wanted;
  });
  return hows;
}

bool has_line(Outcome const& outcome, char const* words, char const* others) {
  return std::ranges::any_of(outcome.output, [&](auto const& line) {
    return line.find(words) != line.npos && line.find(others) != line.npos;
  });
}

// --- one case -------------------------------------------------------------------------------------------------------

struct Verdict {
  std::vector<std::string> wrong;
  std::string text; // what the program printed
  double seconds = 0;
};

fs::path make_scratch(fs::path const& base) {
  auto name = (base / "case_XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make " + name);
  return name;
}

Verdict attack(Options const& options, int ranks, Scenario const& scenario, Fault const& fault) {
  auto const& folders = options.folders;
  auto const scratch = make_scratch(folders.base);
  auto const out = scratch / "out";
  if (scenario.resumed) fs::copy(folders.started(ranks), out, fs::copy_options::recursive);
  auto const whole = files_below(folders.whole(ranks));
  auto const before = files_below(out);
  auto known = files_below(folders.started(ranks)); // a checkpoint that the undisturbed run has removed
  for (auto const& [name, bytes] : whole) known[name] = bytes;

  Verdict verdict;
  auto const say = [&](std::vector<std::string> const& sentences, char const* when) {
    for (auto const& sentence : sentences) verdict.wrong.push_back(when + sentence);
  };
  auto const outcome =
      run(options.setup, ranks, scratch, scenario.resumed, fault, struck_folder(options, scenario, scratch));
  verdict.seconds = outcome.seconds;
  verdict.text = outcome.text();
  if (!outcome.status) say({"it did not end within " + std::to_string(options.setup.limit) + " s"}, "");
  if (!outcome.struck) say({"the call was not made"}, "");
  auto const after = files_below(out);
  say(lost(before, after, known), "");
  if (outcome.status && outcome.struck) {
    if (outcome.succeeded()) {
      if (!is_survived(fault, *outcome.struck) && !may_be_survived(fault))
        say({"it succeeded, expected a failure"}, "");
      say(differences(after, whole), "");
      if (!outcome.errors.empty()) say({"it succeeded, but wrote on stderr"}, "");
      if (scenario.resumed && !has_line(outcome, "goes on from ", "step_00000004.safetensors"))
        say({"it did not go on from the newest checkpoint"}, "");
    } else {
      if (is_survived(fault, *outcome.struck)) say({"it failed, expected success"}, "");
      if (WIFSIGNALED(*outcome.status) && !fault.kills()) say({"it was ended by a signal"}, "");
      say(wrong_sentences(fault, outcome), "");
    }
  }
  if (!outcome.succeeded()) {
    auto const resumed = run(options.setup, ranks, scratch, true, {}, struck_folder(options, scenario, scratch));
    verdict.seconds += resumed.seconds;
    auto left = files_below(out);
    if (fault.kills()) // what it was writing may stay, under a name that tells so
      std::erase_if(left, [](auto const& file) { return file.first.find(".partial-") != std::string::npos; });
    auto const wrong = resumed.succeeded() ? differences(left, whole) : std::vector<std::string>{"it failed"};
    say(wrong, "resumed: ");
    say(lost(before, files_below(out), known), "resumed: ");
    if (!wrong.empty()) verdict.text += "  resumed:\n" + resumed.text();
  }
  if (verdict.wrong.empty())
    fs::remove_all(scratch);
  else
    verdict.text += "    in " + scratch.string() + '\n';
  return verdict;
}

/// All cases; returns how many went wrong, and how many calls were asked for by name but never struck.
int attack_all(Options const& options) {
  int cases = 0, failures = 0;
  double slowest = 0;
  std::set<std::string> missed(options.calls.begin(), options.calls.end());
  for (int const ranks : options.ranks)
    for (auto const& scenario : scenarios) {
      if (std::ranges::count(options.scenarios, scenario.name) == 0) continue;
      auto const counts = read_counts(options.folders.counts(ranks, scenario.name), ranks);
      std::set<int> const struck_ranks = options.rank >= 0 ? std::set{options.rank} : std::set{0, ranks - 1};
      for (int const rank : struck_ranks)
        for (auto const& [call, count] : counts.at(static_cast<std::size_t>(rank))) {
          bool const of_files = !call.starts_with("MPI_") && call != "allocate";
          if (scenario.strikes_data && !of_files) continue;
          if (!options.calls.empty() && std::ranges::count(options.calls, call) == 0) continue;
          std::printf("%d ranks, %-8s rank %d, %-26s", ranks, (std::string(scenario.name) + ',').c_str(), rank,
                      (call + " (" + std::to_string(count) + ")").c_str());
          std::string details;
          std::set<long> times;
          for (long const time : options.times) times.insert(time < 0 ? count + 1 + time : time);
          for (long const at : times) {
            if (at < 1 || at > count) continue;
            for (auto const& how : hows_of(options, call, at)) {
              auto const verdict = attack(options, ranks, scenario, {call, at, how, rank});
              ++cases;
              missed.erase(call);
              slowest = std::max(slowest, verdict.seconds);
              bool const good = verdict.wrong.empty();
              std::printf(" %ld:%s%s", at, how.c_str(), good ? "" : "!");
              std::fflush(stdout);
              if (good) continue;
              ++failures;
              details += "  wrong: --ranks " + std::to_string(ranks) + " --scenarios " + scenario.name + " --rank " +
                         std::to_string(rank) + " --calls " + call + " --times " + std::to_string(at) + " (" + how +
                         ")\n";
              for (auto const& sentence : verdict.wrong) details += "    " + sentence + '\n';
              details += verdict.text;
            }
          }
          std::printf("\n%s", details.c_str());
        }
    }
  std::printf("%d cases, %d wrong; the slowest took %.1f s, its resumption included\n", cases, failures, slowest);
  for (auto const& call : missed)
    std::printf("error: '%s' was never struck, expected a call that is made at one of --times\n", call.c_str());
  if (cases == 0) std::printf("error: nothing was struck, expected at least one call\n");
  return failures + static_cast<int>(missed.size()) + (cases == 0 ? 1 : 0);
}

} // namespace

int main(int argc, char** argv) {
  Options options;
  std::string launcher, folder;
  CLI::App app{"Makes calls of a program fail, one at a time, and looks at what becomes of it."};
  app.add_option("folder", folder, "For the undisturbed runs and what is looked at")->required();
  app.add_option("--program", options.setup.program, "The example")->required();
  app.add_option("--library", options.setup.library, "What makes calls fail")->required();
  app.add_option("--launcher", launcher, "Words before the number of ranks, separated by bars")->required();
  app.add_option("--limit", options.setup.limit, "Seconds in which a run must end");
  app.add_option("--ranks", options.ranks, "On how many ranks");
  app.add_option("--scenarios", options.scenarios, "data, new, resumed");
  app.add_option("--calls", options.calls, "Which; all that the program makes if none");
  app.add_option("--times", options.times, "Which of these calls, counted from 1; -1 is the last");
  app.add_option("--how", options.hows, "fail, kill, half, torn, EINTR; all that fit the call if none");
  app.add_option("--rank", options.rank, "On which; the first and the last if none");
  app.add_flag("--prepare-only", options.prepare_only, "Make the undisturbed runs only");
  app.add_flag("--prepared", options.prepared, "They are made already");
  CLI11_PARSE(app, argc, argv);
  std::istringstream words(launcher);
  for (std::string word; std::getline(words, word, '|');) options.setup.launcher.push_back(word);
  try {
    fs::create_directories(folder);
    options.folders.base = fs::canonical(folder);
    options.setup.data = options.folders.data();
    if (!options.prepared) {
      write_cubes(options.setup.data);
      for (int const ranks : options.ranks) prepare(options, ranks);
    }
    return options.prepare_only || attack_all(options) == 0 ? 0 : 1;
  } catch (std::exception const& error) {
    std::printf("error: %s\n", error.what());
    return 1;
  }
}
