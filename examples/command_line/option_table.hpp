// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/error.hpp>

#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

/// \file
/// The options of a program as one table. The command line, the help, the refusals and the documentation are made of
/// it.
namespace command_line {

/// Whole numbers from the least to the most.
struct Counts {
  std::uint64_t least = 0;
  std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
};

/// Real numbers between two ends, each of which belongs to them or not.
struct Numbers {
  enum class End { included, excluded };
  double least = 0;
  End least_end = End::included;
  double most = std::numeric_limits<double>::max();
  End most_end = End::included;
};

/// One row of the table.
struct Option {
  static constexpr std::size_t any_number = ~std::size_t{0};

  std::string names;     ///< "--width", or "--model,--strategy"
  std::string group;     ///< under which the help lists it
  std::string help;      ///< what it says
  std::string expected;  ///< which values it takes: "a whole number from 1 to 8"; empty for a flag
  std::string initial;   ///< what holds if it is not given
  std::size_t words = 1; ///< how many values follow; 0 for a flag
  bool decides = true;   ///< whether it decides what is computed: a run that goes on from another must repeat it
  bool given = false;    ///< whether the command line or the file has it
  std::function<bool(std::vector<std::string> const&)> read; ///< takes the values; false if they are not as expected
  std::function<std::string()> text;                         ///< what holds, as the command line would say it

  /// The first of the names.
  std::string name() const { return names.substr(0, names.find(',')); }
};

/// The words with a blank between them.
std::string joined(std::vector<std::string> const& words);

class OptionTable {
public:
  /// `purpose`: what the program is for, a few lines that begin its help.
  OptionTable(std::string program, std::string purpose)
      : m_program(std::move(program)), m_purpose(std::move(purpose)) {}
  OptionTable(OptionTable const&) = delete; // options refer to variables
  OptionTable& operator=(OptionTable const&) = delete;

  /// The group of the options that are added from now on.
  void begin_group(std::string name) { m_group = std::move(name); }

  // Each adds an option that reads into a variable, which holds the initial value and outlives the table.
  Option& flag(std::string const& names, bool& value, std::string const& help);
  Option& count(std::string const& names, std::size_t& value, Counts range, std::string const& help);
  Option& counts(std::string const& names, std::span<std::size_t> values, Counts range, std::string const& help);
  Option& number(std::string const& names, double& value, Numbers range, std::string const& help);
  template <class Enum>
  Option& choice(std::string const& names, Enum& value, std::vector<std::pair<std::string, Enum>> const& choices,
                 std::string const& help);
  /// One of the program's own kind. `expected` completes "--crop is '8x', expected ...".
  Option& add(std::string const& names, std::string const& expected, std::string const& help,
              std::function<bool(std::vector<std::string> const&)> read, std::function<std::string()> text);

  /// What a command line asks for, if not that the program runs.
  enum class Asked { run, help, markdown };

  /// Reads the command line, and the file that `--config` names. The command line comes before the file, and of one
  /// option that it repeats the last is taken; values of an option that takes any number of them are put together.
  /// Throws: dchag::Error "--width is '-1', expected a whole number from 1 to 8"; for an option, on the command line or
  /// in the file, that there is not.
  Asked parse(int argc, char const* const* argv);

  /// For `--help`, and as a page of documentation.
  std::string help() const;
  std::string markdown() const;

  std::deque<Option> const& options() const { return m_options; }
  /// The option of this name, which there must be.
  Option const& operator[](std::string const& name) const;

private:
  std::string m_program, m_purpose;
  std::string m_group = "Options";
  std::deque<Option> m_options; // added without moving those that are there
};

template <class Enum>
Option& OptionTable::choice(std::string const& names, Enum& value,
                            std::vector<std::pair<std::string, Enum>> const& choices, std::string const& help) {
  std::string expected;
  for (std::size_t i = 0; i < choices.size(); ++i)
    expected += (i == 0 ? "" : i + 1 == choices.size() ? " or " : ", ") + choices[i].first;
  auto const read = [choices, &value](std::vector<std::string> const& words) {
    for (auto const& [name, meaning] : choices)
      if (name == words.front()) return value = meaning, true;
    return false;
  };
  auto const text = [choices, &value]() -> std::string {
    for (auto const& [name, meaning] : choices)
      if (meaning == value) return name;
    return "";
  };
  return add(names, expected, help, read, text);
}

} // namespace command_line
