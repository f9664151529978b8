// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include "command_line/option_table.hpp"

#include <dchag/core/number.hpp>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>
#include <sstream>
#include <stdexcept>

namespace command_line {
namespace {

template <class Number>
std::optional<Number> whole(std::string_view text) {
  Number number{};
  auto const* const end = text.data() + text.size();
  auto const [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || stop != end) return std::nullopt;
  return number;
}

// In as few digits as tell it from every other.
std::string digits_of(double value) {
  char digits[64] = {};
  return {digits, std::to_chars(digits, digits + sizeof(digits), value).ptr};
}

std::string text_of(Counts range) {
  return dchag::concat("a whole number from ", range.least, " to ", range.most);
}

std::string text_of(Numbers range) {
  bool const from = range.least_end == Numbers::End::included;
  bool const to = range.most_end == Numbers::End::included;
  auto text = std::string("a number ") + (from ? "from " : "above ") + digits_of(range.least);
  if (range.most == std::numeric_limits<double>::max()) return from ? text + " on" : text;
  if (!dchag::math::is_finite(range.most)) return text + ", or inf";
  return text + (to ? " to " : from ? " to below " : " and below ") + digits_of(range.most);
}

bool holds(Counts range, std::uint64_t value) {
  return range.least <= value && value <= range.most;
}

bool holds(Numbers range, double value) {
  if (dchag::math::is_nan(value)) return false;
  bool const above = range.least_end == Numbers::End::included ? value >= range.least : value > range.least;
  return above && (range.most_end == Numbers::End::included ? value <= range.most : value < range.most);
}

// A table of Markdown takes no line breaks, a bar ends a cell, and what stands in angles is hidden.
std::string cell(std::string const& text) {
  std::string result;
  for (char const c : text)
    if (c == '|')
      result += "\\|";
    else if (c == '<')
      result += "&lt;";
    else
      result += c == '\n' ? ' ' : c;
  return result;
}

std::string expectation(Option const& option) {
  return option.words == 0 ? "true or false" : option.expected;
}

[[noreturn]] void refuse(Option const& option, std::vector<std::string> const& words) {
  throw dchag::Error(dchag::concat(option.name(), " is '", joined(words), "', expected ", expectation(option)));
}

bool has_name(Option const& option, std::string const& name) {
  return ("," + option.names + ",").find("," + name + ",") != std::string::npos;
}

/// A file says an option once, with all of its values: on the command line the last one of several is taken, in a list
/// none of them can be left out.
class File : public CLI::ConfigTOML {
public:
  explicit File(std::deque<Option> const& options) : m_options(options) {}

  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override {
    auto const read = CLI::ConfigTOML::from_config(input);
    for (auto const& item : read)
      for (auto const& option : m_options)
        if (item.parents.empty() && has_name(option, "--" + item.name) && !fits(option, item.inputs))
          refuse(option, item.inputs);
    return read;
  }

private:
  static bool fits(Option const& option, std::vector<std::string> const& words) {
    if (option.words == Option::any_number) return !words.empty();
    return words.size() == std::max<std::size_t>(option.words, 1); // a flag has one word here
  }

  std::deque<Option> const& m_options;
};

/// CLI11 collects the words; what they mean the table knows.
class Reader {
public:
  Reader(std::string const& program, std::string const& purpose, std::deque<Option> const& options)
      : m_app(purpose, program), m_options(options) {
    m_app.set_config("--config", "", "Read options from this file (TOML or INI)");
    m_app.allow_config_extras(CLI::config_extras_mode::error);
    m_app.config_formatter(std::make_shared<File>(options));
    m_app.add_flag("--help-markdown", m_markdown, "Print this as a page of documentation");
    m_app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    for (auto const& option : options) {
      auto const take = [](CLI::results_t const&) { return true; }; // words() reads them
      auto* const added = option.words == 0
                              ? m_app.add_flag(option.names, option.help)
                              : m_app.add_option(option.names, take, option.help + " (" + option.expected + ")");
      if (option.words > 0) {
        constexpr auto most = std::size_t{CLI::detail::expected_max_vector_size};
        auto const count = static_cast<int>(std::min(option.words, most));
        added->expected(option.words == Option::any_number ? 1 : count, count);
        added->allow_extra_args(option.words == Option::any_number);
        added->type_name("VALUE")->default_str(option.initial);
      }
      added->group(option.group);
      m_added.push_back(added);
    }
  }

  OptionTable::Asked parse(int argc, char const* const* argv) {
    try {
      m_app.parse(argc, argv);
    } catch (CLI::Success const&) {
      return OptionTable::Asked::help;
    } catch (CLI::ConfigError const& error) {
      throw dchag::Error("--config: " + config_sentence(error.what()));
    } catch (CLI::FileError const& error) {
      throw dchag::Error(std::string("--config: ") + error.what());
    } catch (CLI::ExtrasError const&) {
      throw dchag::Error("'" + joined(m_app.remaining()) + "' is no option, expected those of --help");
    } catch (CLI::ArgumentMismatch const& error) {
      throw dchag::Error(mismatch_sentence(error.what()));
    } catch (CLI::ParseError const& error) {
      throw dchag::Error(error.what());
    }
    return m_markdown ? OptionTable::Asked::markdown : OptionTable::Asked::run;
  }

  std::string help() const { return m_app.help(); }
  bool given(std::size_t i) const { return m_added[i]->count() > 0; }

  /// The values of an option that is given: the last ones, where the command line repeats it.
  std::vector<std::string> words(std::size_t i) const {
    auto words = m_added[i]->results();
    auto const& option = m_options[i];
    auto const count = std::max<std::size_t>(option.words, 1);
    if (option.words != Option::any_number && words.size() > count)
      words.erase(words.begin(), words.end() - static_cast<std::ptrdiff_t>(count));
    if (option.words != 0) return words;
    try {
      return {CLI::detail::to_flag_value(words.front()) > 0 ? "true" : "false"};
    } catch (std::invalid_argument const&) {
      refuse(option, words);
    } catch (std::out_of_range const&) {
      refuse(option, words);
    }
  }

private:
  // CLI11 ends the name of a section with ".++".
  static std::string config_sentence(std::string const& theirs) {
    std::string const begin = "INI was not able to parse ";
    if (!theirs.starts_with(begin)) return theirs;
    auto name = theirs.substr(begin.size());
    if (name.ends_with(".++")) name.resize(name.size() - 3);
    return "'" + name + "' is no option, expected those of --help without the leading --";
  }

  // "--width: 1 required VALUE missing": the name of the option comes first.
  std::string mismatch_sentence(std::string const& theirs) const {
    auto const name = theirs.substr(0, theirs.find(':'));
    for (auto const& option : m_options)
      if (has_name(option, name)) return name + ": no value is given, expected " + expectation(option);
    return name == "--config" ? "--config: no value is given, expected the name of a file" : theirs;
  }

  CLI::App m_app;
  std::deque<Option> const& m_options;
  std::vector<CLI::Option*> m_added;
  bool m_markdown = false;
};

} // namespace

std::string joined(std::vector<std::string> const& words) {
  std::string text;
  for (auto const& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

Option& OptionTable::add(std::string const& names, std::string const& expected, std::string const& help,
                         std::function<bool(std::vector<std::string> const&)> read, std::function<std::string()> text) {
  auto& option = m_options.emplace_back();
  option.names = names;
  option.group = m_group;
  option.help = help;
  option.expected = expected;
  option.initial = text();
  option.read = std::move(read);
  option.text = std::move(text);
  return option;
}

Option& OptionTable::flag(std::string const& names, bool& value, std::string const& help) {
  auto& option = add(
      names, "", help, [&value](auto const& words) { return value = words.front() == "true", true; },
      [&value] { return value ? "true" : "false"; });
  option.words = 0;
  return option;
}

Option& OptionTable::count(std::string const& names, std::size_t& value, Counts range, std::string const& help) {
  return counts(names, {&value, 1}, range, help);
}

Option& OptionTable::counts(std::string const& names, std::span<std::size_t> values, Counts range,
                            std::string const& help) {
  auto const read = [values, range](std::vector<std::string> const& words) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      auto const number = whole<std::size_t>(words[i]);
      if (!number || !holds(range, *number)) return false;
      values[i] = *number;
    }
    return true;
  };
  auto const text = [values] {
    std::vector<std::string> words;
    for (auto const value : values) words.push_back(std::to_string(value));
    return joined(words);
  };
  auto const one = text_of(range);
  auto& option = add(names, values.size() == 1 ? one : dchag::concat(values.size(), " times ", one), help, read, text);
  option.words = values.size();
  return option;
}

Option& OptionTable::number(std::string const& names, double& value, Numbers range, std::string const& help) {
  auto const read = [&value, range](std::vector<std::string> const& words) {
    auto const number = whole<double>(words.front());
    if (!number || !holds(range, *number)) return false;
    value = *number;
    return true;
  };
  return add(names, text_of(range), help, read, [&value] { return digits_of(value); });
}

Option const& OptionTable::operator[](std::string const& name) const {
  auto const found = std::ranges::find(m_options, name, &Option::name);
  if (found == m_options.end()) throw dchag::Error("OptionTable: there is no option " + name);
  return *found;
}

OptionTable::Asked OptionTable::parse(int argc, char const* const* argv) {
  Reader reader(m_program, m_purpose, m_options);
  auto const asked = reader.parse(argc, argv);
  if (asked != Asked::run) return asked;
  for (std::size_t i = 0; i < m_options.size(); ++i) {
    auto& option = m_options[i];
    option.given = reader.given(i);
    if (!option.given) continue;
    auto const words = reader.words(i);
    bool const many = option.words == Option::any_number || option.words <= 1 || option.words == words.size();
    if (!many || !option.read(words)) refuse(option, words);
  }
  return asked;
}

std::string OptionTable::help() const {
  return Reader(m_program, m_purpose, m_options).help();
}

std::string OptionTable::markdown() const {
  auto text = "# Options of " + m_program + "\n\nWhat `" + m_program + " --help-markdown` prints.\n\n" + m_purpose +
              "\n\n`--config FILE` reads options from a file (TOML or INI), there without the leading `--`.\n";
  std::string group;
  for (auto const& option : m_options) {
    if (option.group != group) {
      group = option.group;
      text += "\n## " + group + "\n\n| option | what it says | values | if not given |\n|---|---|---|---|\n";
    }
    std::string names;
    for (char const c : option.names) names += c == ',' ? std::string("`, `") : std::string(1, c);
    text += "| `" + names + "` | " + cell(option.help) + " | " + cell(option.words == 0 ? "a flag" : option.expected) +
            " | " + cell(option.words == 0 ? "off" : option.initial) + " |\n";
  }
  return text;
}

} // namespace command_line
