// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause

// What the command line takes and what it refuses, and in which words.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "options.hpp"

#include <dchag/core/error.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <command_line/kokkos_arguments.hpp>
#include <files.hpp>
#include <limits>
#include <sstream>

namespace {

using namespace hyperspectral;
using hyperspectral::test::contains;

/// Arguments by words; '' is an empty one.
std::vector<std::string> words_of(std::string const& line) {
  std::istringstream words(line);
  std::vector<std::string> list{"program"};
  for (std::string word; words >> word;) list.push_back(word == "''" ? "" : word);
  return list;
}

Options parsed(std::string const& line, int ranks = 1) {
  auto const words = words_of(line);
  std::vector<char const*> pointers;
  for (auto const& word : words) pointers.push_back(word.c_str());
  Options options;
  std::string text;
  parse(static_cast<int>(pointers.size()), pointers.data(), ranks, options, text);
  return options;
}

/// The sentence of what a command line is refused with; empty if it is taken.
std::string refusal(std::string const& line, int ranks = 1) {
  try {
    parsed(line, ranks);
  } catch (dchag::Error const& error) {
    return error.what();
  }
  return "";
}

} // namespace

TEST_CASE("a value that is none or out of range is refused by the option's name") {
  std::string const counts = "18446744073709551616 -1 1.5 0x10 many ''";
  std::vector<std::pair<std::string, std::string>> const wrong{
      {"--data", "''"},
      {"--bands", "0 65537 " + counts},
      {"--test-count", "0 1000001 " + counts},
      {"--crop", "0 0x8 8x 8x0 x8 8x8x8 -8 65537 4294967296x4294967296 wide ''"},
      {"--model", "x4 c3@4 c4@0 c4@ l-2@4 c4@99999999999999999999 ''"},
      {"--patch", "0 65537 " + counts},
      {"--width", "0 65537 " + counts},
      {"--heads", "0 65537 " + counts},
      {"--depth", "4097 " + counts},
      {"--decoder-width", "0 65537 " + counts},
      {"--decoder-depth", "4097 " + counts},
      {"--decoder-heads", "0 65537 " + counts},
      {"--mask", "0 1 -0.5 1.5 nan inf half ''"},
      {"--dropout", "1 -0.1 nan inf 1e400 ''"},
      {"--precision", "half 32 ''"},
      {"--steps", "0 4294967296 " + counts},
      {"--batch", "0 1048577 " + counts},
      {"--rate", "-1e-3 nan inf -inf 1e400 fast ''"},
      {"--warmup", "4294967296 " + counts},
      {"--decay", "-0.1 nan inf ''"},
      {"--beta1", "1 -0.1 nan ''"},
      {"--beta2", "1 -0.1 nan ''"},
      {"--checkpoint-layout", "two shards ''"},
      {"--clip", "0 -1 nan -inf ''"},
      {"--seed", counts},
      {"--evaluations", "0 4294967296 " + counts},
      {"--mesh", "2x 0x1x1 1x1 1x1x1x1 -1x1x-1 1x1x65537 99999999x1x1 ''"},
      {"--sharding", "some ''"},
      {"--out", "''"},
      {"--checkpoint-every", "-5 4294967296 " + counts},
  };
  for (auto const& [option, values] : wrong)
    for (auto const& value : words_of(values)) {
      if (value == "program") continue;
      auto const sentence = refusal(option + ' ' + (value.empty() ? "''" : value));
      INFO(option, ' ', value, ": ", sentence);
      CHECK(sentence.rfind(option + " is '" + value + "', expected ", 0) == 0);
      CHECK(!contains(sentence, "\n"));
    }
  for (auto const& setting : settings(Options())) { // none was forgotten
    CAPTURE(setting.name);
    bool const flag = setting.value == "true" || setting.value == "false";
    CHECK((flag || std::ranges::count(wrong, setting.name, &std::pair<std::string, std::string>::first) == 1));
  }
}

TEST_CASE("settings that do not fit each other are refused by their names") {
  std::vector<std::pair<std::string, std::string>> const wrong{
      {"--crop 9", "--crop is 9, expected a multiple of --patch 2"},
      {"--crop 8x9", "--crop is 8x9, expected a multiple of --patch 2"},
      {"--patch 8 --crop 8", "--mask is 0.75 and hides 1 of the 1 positions of --crop 8 with --patch 8, expected at "
                             "least 1 hidden and 1 visible"},
      {"--mask 0.001", "--mask is 0.001 and hides 0 of the 100 positions of --crop 20"},
      {"--mask 0.001 --loss-everywhere", "--mask is 0.001 and hides 0 of the 100 positions of --crop 20"},
      {"--mask 0.999", "--mask is 0.999 and hides 100 of the 100 positions of --crop 20"},
      {"--width 16 --heads 3", "--width is 16, expected a multiple of --heads 3"},
      {"--decoder-width 16 --decoder-heads 3", "--decoder-width is 16, expected a multiple of --decoder-heads 3"},
      {"--steps 5 --warmup 5", "--warmup is 5, expected fewer than --steps 5"},
      {"--mesh 2x1x1", "--mesh is 2x1x1 for 2 ranks, expected a product of the 1 that run"},
      {"--sharding full", "--sharding divides nothing with --mesh 1x1x1"},
      {"--sharding optimizer --mesh 1x1x1", "--sharding divides nothing with --mesh 1x1x1"},
      {"--bands 3", "--model c0@4 has 4 groups, expected at most the bands of the data, 3"},
      {"--test-count 100000", "--test-count is 100000, expected at most 10000 made-up scenes: each of the "
                              "--evaluations, 25, goes through all of them"},
      {"--widht 8", "'--widht 8' is no option, expected those of --help"},
      {"cube.hdr", "'cube.hdr' is no option, expected those of --help"},
      {"--width", "--width: no value is given, expected a whole number from 1 to 65536"},
      {"--width=", "--width: no value is given, expected a whole number from 1 to 65536"},
      {"--data", "--data: no value is given, expected names, none of them empty"},
      {"--data=", "--data: no value is given, expected names, none of them empty"},
      {"--strategy", "--model: no value is given, expected one or more of"},
      {"--config", "--config: no value is given, expected the name of a file"},
      {"--no-augment=maybe", "--no-augment is 'maybe', expected true or false"},
      {"--recompute=99999999999999999999", "--recompute is '99999999999999999999', expected true or false"},
      {"--crop 16 8", "'8' is no option, expected those of --help"},
  };
  for (auto const& [line, sentence] : wrong) {
    auto const said = refusal(line);
    INFO(line, ": ", said);
    CHECK(said.rfind(sentence, 0) == 0);
  }
  CHECK(refusal("--model c0@4", 3) ==
        "--model c0@4 has 4 groups, expected a multiple of the 3 ranks that share a model");
  CHECK(refusal("--data nowhere --model c0@4", 3) ==
        "--model c0@4 has 4 groups, expected a multiple of the 3 ranks that share a model");
  CHECK(refusal("--model tensor", 3) ==
        "--model tensor divides --heads 4, expected a multiple of the 3 ranks that share a model");
  CHECK(refusal("--model flat --bands 2", 3) ==
        "--model flat is shared by 3 ranks, expected at most the bands of the data, 2");
  CHECK(refusal("--mesh 1x1x2 --batch 3", 2) == "--batch is 3, expected a multiple of the replicas 2 of --mesh 1x1x2");
}

TEST_CASE("what no machine has the memory for is refused with the numbers") {
  for (std::string const line : {"--width 65536 --heads 64 --depth 4096",
                                 "--crop 65536 --bands 65536 --batch 1048576 --patch 2", "--crop 8192 --bands 65536",
                                 "--decoder-width 65536 --decoder-depth 4096", "--crop 65536 --patch 1 --bands 4"}) {
    auto const said = refusal(line);
    INFO(line, ": ", said);
    CHECK(said.rfind("--model c0@4: each rank needs ", 0) == 0);
    CHECK(contains(said, " GiB of this machine"));
  }
}

TEST_CASE("what works is taken") {
  auto const options = parsed("--data a b --crop 16x24 --width 32 --heads 8 --clip inf --rate 0 --mask 0.5 --out o "
                              "--model flat l2@4 --mesh 2x2x1 --no-augment --precision double --seed "
                              "18446744073709551615",
                              4);
  CHECK(options.data == std::vector<std::filesystem::path>{"a", "b"});
  std::string many = "--data"; // all of them, however many
  for (int i = 0; i < 1005; ++i) many += dchag::concat(" cube", i);
  auto const cubes = parsed(many).data;
  CHECK(cubes.size() == 1005);
  CHECK((cubes.front() == "cube0" && cubes.back() == "cube1004"));
  CHECK(parsed("--data a --data b c").data == std::vector<std::filesystem::path>{"a", "b", "c"});
  CHECK_FALSE(parsed("--recompute --recompute=false").model.recompute);
  CHECK(to_string(options.model.crop) == "16x24");
  CHECK(options.model.width == 32);
  CHECK(options.model.clip == std::numeric_limits<double>::infinity());
  CHECK(options.learning_rate == 0);
  CHECK(options.model.mask_ratio == 0.5);
  CHECK(options.out == "o");
  CHECK(options.models == std::vector<std::string>{"flat", "l2@4"});
  CHECK(options.mesh == dchag::comm::MeshShape{2, 2, 1});
  CHECK(options.model.sharding == dchag::parallel::Sharding::full); // unless it is said
  CHECK(!options.augment);
  CHECK(options.model.precision == Precision::double_);
  CHECK(options.model.seed == ~std::uint64_t{0});
  auto const alone = parsed("--steps 50 --width 8 --width 16");
  CHECK(alone.warmup == 5); // a tenth
  CHECK(alone.model.width == 16);
  CHECK(alone.mesh == dchag::comm::MeshShape{1, 1, 1});
  CHECK(parsed("", 4).mesh == dchag::comm::MeshShape{4, 1, 1});
  CHECK(parsed("--strategy tokens").models == std::vector<std::string>{"tokens"});
  CHECK(parsed("--mask 0.94 --crop 8").model.mask_ratio == 0.94); // 1 of 16 is visible
}

TEST_CASE("options in a file are as those of the command line") {
  hyperspectral::test::Folder const folder;
  auto const with = [&](std::string const& text) {
    return "--config " + hyperspectral::test::write(folder / "run.toml", text).string();
  };
  auto const options =
      parsed(with("width = 32\nmodel = [\"flat\", \"l2@4\"]\nloss-everywhere = true\nseed=7\n") + " --seed 8");
  CHECK(options.model.width == 32);
  CHECK(options.models == std::vector<std::string>{"flat", "l2@4"});
  CHECK(options.model.loss_everywhere);
  CHECK(options.model.seed == 8);
  CHECK(refusal(with("widht = 32\n")) ==
        "--config: 'widht' is no option, expected those of --help without the leading --");
  CHECK(contains(refusal(with("[model]\nwidth = 32\n")), "--config: 'model"));
  CHECK(refusal(with("width = -8\n")).rfind("--width is '-8', expected a whole number from 1 to 65536", 0) == 0);
  CHECK(refusal(with("clip = nan\n")).rfind("--clip is 'nan', expected a number above 0", 0) == 0);
  CHECK(refusal(with("resume = perhaps\n")) == "--resume is 'perhaps', expected true or false");
  CHECK(refusal(with("recompute = [true, false]\n")) == "--recompute is 'true false', expected true or false");
  CHECK(refusal(with("crop = [16, 8]\n")).rfind("--crop is '16 8', expected an edge, or lines x samples", 0) == 0);
  CHECK(refusal(with("crop = 16\ncrop = 8\n")).rfind("--crop is '16 8', expected", 0) == 0);
  CHECK(refusal(with("width = \"\"\n")).rfind("--width is '', expected a whole number", 0) == 0);
  CHECK(refusal(with("data = [\"a\", \"\"]\n")) == "--data is 'a ', expected names, none of them empty");
  CHECK(parsed(with("data = [\"a\", \"b c\"]\n")).data == std::vector<std::filesystem::path>{"a", "b c"});
  CHECK(contains(refusal("--config " + (folder / "none.toml").string()), "none.toml"));
}

TEST_CASE("what decides is all but where and how the same is computed, and how often it is told") {
  std::vector<std::string> names;
  for (auto const& setting : deciding_settings(Options())) names.push_back(setting.name);
  std::vector<std::string> const expected{
      "--crop",          "--no-augment",    "--patch",         "--width", "--heads",           "--depth",
      "--decoder-width", "--decoder-depth", "--decoder-heads", "--mask",  "--loss-everywhere", "--dropout",
      "--precision",     "--steps",         "--batch",         "--rate",  "--warmup",          "--decay",
      "--beta1",         "--beta2",         "--clip",          "--seed"};
  CHECK(names == expected);
  auto const all = settings(parsed("--rate 2e-3 --mesh 1x1x1"));
  auto const value_of = [&](std::string const& name) {
    return std::ranges::find(all, name, &dchag::comm::Setting::name)->value;
  };
  CHECK(value_of("--rate") == "0.002"); // as checkpoints have it
  CHECK(value_of("--crop") == "20");
  CHECK(value_of("--precision") == "float");
  CHECK(value_of("--no-augment") == "false");
  CHECK(value_of("--mesh") == "1x1x1");
}

TEST_CASE("Kokkos is handed its own arguments and no others") {
  std::vector<std::string> words{"program", "--help", "--kokkos-num-threads=2", "--threads", "2", "--kokkos-help"};
  std::vector<char*> pointers;
  for (auto& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  int argc = static_cast<int>(words.size());
  command_line::KokkosArguments arguments(argc, pointers.data());
  std::vector<std::string> const left(pointers.begin(), pointers.begin() + argc);
  CHECK(left == std::vector<std::string>{"program", "--help", "--threads", "2"});
  CHECK(pointers[static_cast<std::size_t>(argc)] == nullptr);
  std::vector<std::string> const taken(arguments.argv(), arguments.argv() + arguments.argc);
  CHECK(taken == std::vector<std::string>{"program", "--kokkos-num-threads=2", "--kokkos-help"});
  CHECK(arguments.argv()[arguments.argc] == nullptr);
  CHECK(arguments.ask_for_help());
  int none = 1;
  CHECK(!command_line::KokkosArguments(none, pointers.data()).ask_for_help());
}

TEST_CASE("a model is trained once, under its name; a checkpoint is one file or one for each rank") {
  CHECK(refusal("--model c0@4 l0@4 c0@4") ==
        "--model names c0@4 twice, expected each model once: its curve and checkpoints have its name");
  CHECK(refusal("--model c0@4 c0@2 l0@4").empty());
  CHECK_FALSE(parsed("").file_of_each_rank);
  CHECK_FALSE(parsed("--checkpoint-layout one").file_of_each_rank);
  CHECK(parsed("--checkpoint-layout ranks").file_of_each_rank);
}
