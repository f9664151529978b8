// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/exact_text.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <vector>

namespace dchag {

/// The channels of a model: what they are called, and which of them share a module.
struct DescribedChannels {
  std::size_t count = 0;               ///< C; 0: the model knows nothing of channels
  std::vector<std::string> names = {}; ///< (C), in the model's order; empty if it does not know them
  /// The channels, in order, as groups and lowest modules take them: of each group, how many go to each of its modules.
  /// {{2, 1}, {2}} are three channels in two modules, and two in one. Empty: all go to one module.
  std::vector<std::vector<std::size_t>> modules = {};
  bool place_counts = false; ///< a module treats its first channel differently from its second, whichever they are

  friend bool operator==(DescribedChannels const&, DescribedChannels const&) = default;
};

/// What a model means besides the values of its parameters: its channels by name, and every setting that decides what
/// it computes, in order. Checkpoints carry it, so that no file is read into a model of another meaning.
///
/// It says nothing of how the same function is computed: number of ranks, sharding, fused or materialized form.
///
///     Description description;
///     description.set("encoder heads", 8).note("dropout", 0.1);
class Description {
public:
  struct Setting {
    std::string name, value;
    friend bool operator==(Setting const&, Setting const&) = default;
  };

  /// A setting that decides what the model computes: integer, floating-point number, bool or text.
  /// Throws: Error if there is one of this name.
  template <class Value>
  Description& set(std::string name, Value const& value) {
    add_to(m_settings, {std::move(name), exact_text(value)});
    return *this;
  }
  /// What is good to know and changes nothing, such as the scalar type.
  /// Throws: Error if there is one of this name.
  template <class Value>
  Description& note(std::string name, Value const& value) {
    add_to(m_notes, {std::move(name), exact_text(value)});
    return *this;
  }
  /// Throws: Error unless there are as many names as channels, or none, all different, and the modules have them all.
  Description& set_channels(DescribedChannels channels) {
    auto names = channels.names;
    std::ranges::sort(names);
    auto const twice = std::ranges::adjacent_find(names);
    require<Error>(twice == names.end(), "Description: two channels are called '", twice == names.end() ? "" : *twice,
                   "'");
    require<Error>(names.empty() || names.size() == channels.count, "Description: there are ", names.size(),
                   " channel names, expected ", channels.count);
    std::size_t rest = channels.count; // subtracted from: a sum may be too large
    for (auto const& group : channels.modules)
      for (auto const size : group) {
        require<Error>(size > 0 && size <= rest, "Description: there is a module of ", size,
                       " channels, expected 1 to ", rest);
        rest -= size;
      }
    require<Error>(channels.modules.empty() || rest == 0, "Description: there are ", rest,
                   " channels in no module, expected none");
    m_channels = std::move(channels);
    return *this;
  }
  /// All that a part of the model says.
  /// Throws: Error if both have a setting, or a note, of one name, or channels.
  Description& add(Description const& part) {
    for (auto const& setting : part.m_settings) add_to(m_settings, setting);
    for (auto const& setting : part.m_notes) add_to(m_notes, setting);
    require<Error>(m_channels.count == 0 || part.m_channels.count == 0,
                   "Description: two parts of the model have channels, expected one");
    if (part.m_channels.count > 0) m_channels = part.m_channels;
    return *this;
  }

  std::vector<Setting> const& settings() const { return m_settings; }
  std::vector<Setting> const& notes() const { return m_notes; }
  DescribedChannels const& channels() const { return m_channels; }

  bool contains(std::string const& name) const { return find(m_settings, name) != nullptr; }

  /// The value of a setting: a number, bool or std::string.
  /// Throws: Error if there is none of this name, or its text is no such value.
  template <class Value>
  Value get(std::string const& name) const {
    auto const* const setting = find(m_settings, name);
    require<Error>(setting != nullptr, "Description: there is no '", name, "'");
    return from_exact_text<Value>(concat("Description: '", name, "'"), setting->value);
  }

  friend bool operator==(Description const&, Description const&) = default;

private:
  static Setting const* find(std::vector<Setting> const& list, std::string const& name) {
    auto const found = std::ranges::find(list, name, &Setting::name);
    return found == list.end() ? nullptr : &*found;
  }
  static void add_to(std::vector<Setting>& list, Setting setting) {
    require<Error>(find(list, setting.name) == nullptr, "Description: '", setting.name, "' is there twice");
    list.push_back(std::move(setting));
  }

  std::vector<Setting> m_settings, m_notes;
  DescribedChannels m_channels;
};

/// A model that says what it means, the same on every rank. Models of others need not: their checkpoints then carry
/// parameters only.
template <class M>
concept Described = requires(M const& model) {
  { model.describe() } -> std::convertible_to<Description>;
};

} // namespace dchag
