// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/range.hpp>
#include <dchag/train/detail/file.hpp>
#include <dchag/train/detail/stored_description.hpp>
#include <dchag/train/load_options.hpp>

#include <filesystem>
#include <unordered_map>

namespace dchag::detail {

/// Which of a file's channels each of the model's is.
///
/// A module treats all of its channels alike, but channels of different modules differently: a channel may change its
/// place within its module, and nothing else.
class ChannelMatch {
public:
  /// Takes every array as it lies in the file.
  ChannelMatch() = default;

  /// By name where both have names, otherwise by the order. Where the options name sources, those say where each value
  /// is: only another order of the same channels is then put right.
  /// Throws: ShapeError if channels are missing or unexpected and the options do not allow it, there is another number
  /// of channels without names, or a channel belongs to another module.
  ChannelMatch(std::filesystem::path const& path, DescribedChannels const& stored, DescribedChannels const& own,
               LoadOptions const& options) {
    if (stored.count == 0 || own.count == 0) return;
    if (stored.names.empty() || own.names.empty()) {
      if (stored.count != own.count && options.sources) return;
      require<ShapeError>(stored.count == own.count, sentence_about(path), " was written with ", stored.count,
                          " channels, expected ", own.count);
      if (stored.names.size() != own.names.size())
        m_remarks.push_back(concat("'", path_text(path),
                                   stored.names.empty() ? "' does not name its channels" : "' names its channels",
                                   stored.names.empty() ? ", the model does" : ", the model does not",
                                   ": they are taken to be in the same order"));
      return;
    }
    if (stored.names == own.names && stored.modules == own.modules) return;
    find(stored.names, own.names);
    std::set<std::string> missing, unexpected(stored.names.begin(), stored.names.end());
    for (std::size_t c = 0; c < own.count; ++c)
      if (m_stored[c])
        unexpected.erase(own.names[c]);
      else
        missing.insert(own.names[c]);
    if (options.sources && (!missing.empty() || !unexpected.empty())) {
      m_stored.clear();
      return;
    }
    require_channels(path, missing, unexpected, options);
    m_stored_count = stored.count;
    m_own_places = places(own);
    m_stored_modules = modules(stored);
    require_places(path, stored, own);
    add_remarks(path, missing);
  }

  /// Whether all arrays are taken as they lie in the file.
  bool is_trivial() const { return m_stored.empty(); }

  /// What the user should know, a sentence each.
  std::vector<std::string> const& remarks() const { return m_remarks; }

  /// The file's channels whose values are in an array, if those of the model are `own`: all channels, or those of a
  /// module.
  /// Throws: Error if they are neither.
  Range stored_channels(std::string const& array, Range own) const {
    if (own == Range{0, m_stored.size()}) return {0, m_stored_count};
    auto const& place = m_own_places.at(own.begin);
    require<Error>(place.in == own, "Checkpoint: '", array, "' belongs to the channels [", own.begin, ", ", own.end,
                   "), expected all channels or those of the module [", place.in.begin, ", ", place.in.end, ")");
    return m_stored_modules[place.group][place.module];
  }

  /// The file's channel; none if it does not have it.
  std::optional<std::size_t> stored_channel(std::size_t own) const { return m_stored[own]; }

private:
  struct Place {
    std::size_t group, module, index;
    Range in; // the channels of the module
  };

  static std::vector<std::vector<Range>> modules(DescribedChannels const& channels) {
    std::vector<std::vector<Range>> result;
    std::size_t begin = 0;
    auto const all =
        channels.modules.empty() ? std::vector<std::vector<std::size_t>>{{channels.count}} : channels.modules;
    for (auto const& group : all) {
      auto& ranges = result.emplace_back();
      for (auto const size : group) {
        ranges.push_back({begin, begin + size});
        begin += size;
      }
    }
    return result;
  }

  static std::vector<Place> places(DescribedChannels const& channels) {
    std::vector<Place> result;
    auto const groups = modules(channels);
    for (std::size_t g = 0; g < groups.size(); ++g)
      for (std::size_t m = 0; m < groups[g].size(); ++m)
        for (std::size_t i = 0; i < groups[g][m].size(); ++i) result.push_back({g, m, i, groups[g][m]});
    return result;
  }

  static std::string text_of(Place const& place, bool with_index) {
    return concat("group ", place.group, ", module ", place.module, with_index ? concat(", place ", place.index) : "");
  }

  void find(std::vector<std::string> const& stored, std::vector<std::string> const& own) {
    std::unordered_map<std::string, std::size_t> index;
    for (std::size_t c = 0; c < stored.size(); ++c) index[stored[c]] = c;
    for (auto const& name : own) {
      auto const found = index.find(name);
      m_stored.push_back(found == index.end() ? std::nullopt : std::optional(found->second));
    }
  }

  static void require_channels(std::filesystem::path const& path, std::set<std::string> const& missing,
                               std::set<std::string> const& unexpected, LoadOptions const& options) {
    std::string text;
    if (!missing.empty() && !options.allow_missing) text = "missing channels " + names_text(missing);
    if (!unexpected.empty() && !options.allow_unexpected)
      text += (text.empty() ? "" : " | ") + ("unexpected channels " + names_text(unexpected));
    require<ShapeError>(text.empty(), sentence_about(path), " does not fit the model: ", text);
  }

  void require_places(std::filesystem::path const& path, DescribedChannels const& stored,
                      DescribedChannels const& own) const {
    auto const own_modules = modules(own);
    require<ShapeError>(m_stored_modules.size() == own_modules.size(), sentence_about(path),
                        " was written with channels in ", m_stored_modules.size(), " groups, expected ",
                        own_modules.size());
    for (std::size_t g = 0; g < own_modules.size(); ++g)
      require<ShapeError>(m_stored_modules[g].size() == own_modules[g].size(), sentence_about(path),
                          " was written with ", m_stored_modules[g].size(), " modules for the channels of group ", g,
                          ", expected ", own_modules[g].size());
    auto const stored_places = places(stored);
    bool const index = stored.place_counts || own.place_counts;
    for (std::size_t c = 0; c < m_stored.size(); ++c) {
      if (!m_stored[c]) continue;
      auto const& there = stored_places[*m_stored[c]];
      auto const& here = m_own_places[c];
      require<ShapeError>(
          there.group == here.group && there.module == here.module && (!index || there.index == here.index),
          sentence_about(path), " was written with channel '", own.names[c], "' in ", text_of(there, index),
          ", expected ", text_of(here, index), ": what the model computes depends on that");
    }
  }

  void add_remarks(std::filesystem::path const& path, std::set<std::string> const& missing) {
    std::optional<std::size_t> last;
    bool ascending = true;
    for (auto const& c : m_stored) {
      ascending = ascending && (!c || !last || *last < *c);
      if (c) last = c;
    }
    if (!ascending)
      m_remarks.push_back(
          concat("'", path_text(path), "' has the channels in another order: they are matched by name"));
    if (!missing.empty())
      m_remarks.push_back(
          concat("'", path_text(path), "' does not have all channels, which keep their values: ", names_text(missing)));
  }

  std::vector<std::optional<std::size_t>> m_stored; // of each channel of the model; empty: all as they are
  std::size_t m_stored_count = 0;
  std::vector<Place> m_own_places;
  std::vector<std::vector<Range>> m_stored_modules;
  std::vector<std::string> m_remarks;
};

/// Compares what the file's model meant with what this one does.
/// Throws: Error, ShapeError.
inline ChannelMatch match_models(std::filesystem::path const& path, Texts const& metadata, Description const& own,
                                 LoadOptions const& options, std::vector<std::string>& remarks) {
  if (own == Description()) return {};
  auto const stored = stored_description(path, metadata);
  if (!stored) {
    if (!options.sources)
      remarks.push_back(concat("'", path_text(path),
                               "' does not say what its model means (it is older, or of another program): nothing but "
                               "names and shapes was compared"));
    return {};
  }
  require_same_settings(path, *stored, own, options.may_differ);
  ChannelMatch match(path, stored->channels(), own.channels(), options);
  remarks = match.remarks();
  return match;
}

} // namespace dchag::detail
