// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/comm/agree.hpp>
#include <dchag/core/description.hpp>
#include <dchag/train/detail/file.hpp>
#include <dchag/train/detail/json.hpp>
#include <dchag/train/safetensors.hpp>

#include <optional>

/// \file
/// A model's description as a text in a file, and what two of them have to agree on.
///
///     {"channels": {"count": 3, "names": ["a", "b", "c"], "modules": [[3]], "place_counts": false},
///      "settings": {"patch": "2", ...}, "notes": {"scalar": "float", ...}}
namespace dchag::detail {

inline constexpr char const* description_name = "dchag.model";

/// Throws: Error if a name is not UTF-8.
inline std::string text_of(Description const& description) {
  using Ordered = nlohmann::ordered_json;
  auto const object = [](std::vector<Description::Setting> const& list) {
    auto result = Ordered::object();
    for (auto const& [name, value] : list) result[name] = value;
    return result;
  };
  Ordered json;
  if (auto const& channels = description.channels(); channels.count > 0)
    json["channels"] = {{"count", channels.count},
                        {"names", channels.names},
                        {"modules", channels.modules},
                        {"place_counts", channels.place_counts}};
  json["settings"] = object(description.settings());
  json["notes"] = object(description.notes());
  try {
    return json.dump();
  } catch (Ordered::exception const&) {
    throw Error("save_checkpoint: the description of the model is not UTF-8, expected names of channels that are");
  }
}

/// Throws: Error unless `text_of` can have made the text.
inline Description description_from(std::filesystem::path const& path, std::string const& text) {
  auto const what = concat(sentence_about(path), ": '", description_name, "'");
  auto const checked = parse_json(what, text); // refuses what is no JSON, or has a name twice
  Description description;
  try {
    auto const json = nlohmann::ordered_json::parse(text);
    for (auto const& [name, value] : json.at("settings").items()) description.set(name, value.get<std::string>());
    for (auto const& [name, value] : json.at("notes").items()) description.note(name, value.get<std::string>());
    if (json.contains("channels")) {
      auto const& channels = json.at("channels");
      auto const& count = checked.at("channels").at("count");
      require<Error>(count.is_number_unsigned(), "channels are ", short_text(count), ", expected how many there are");
      description.set_channels({count.get<std::size_t>(), channels.at("names").get<std::vector<std::string>>(),
                                channels.at("modules").get<std::vector<std::vector<std::size_t>>>(),
                                channels.at("place_counts").get<bool>()});
    }
  } catch (nlohmann::ordered_json::exception const&) {
    throw Error(concat(what, " is ", short_text(checked), ", expected the description of a model"));
  } catch (Error const& error) {
    throw Error(concat(what, ": ", error.what()));
  }
  return description;
}

/// What a file says of the model that it was written for; nothing if it is of another program, or of a version of this
/// library that stored none.
/// Throws: Error.
inline std::optional<Description> stored_description(std::filesystem::path const& path, Texts const& metadata) {
  auto const found = metadata.find(description_name);
  return found == metadata.end() ? std::nullopt : std::optional(description_from(path, found->second));
}

/// Throws: ShapeError, which names every setting with both values, unless what both say has the same value, or may
/// differ. Settings that only one of them knows are of parts that the other does not have.
inline void require_same_settings(std::filesystem::path const& path, Description const& stored, Description const& own,
                                  std::vector<std::string> const& may_differ) {
  std::string text;
  for (auto const& setting : own.settings()) {
    if (!stored.contains(setting.name) || std::ranges::count(may_differ, setting.name) > 0) continue;
    auto const value = stored.get<std::string>(setting.name);
    if (value != setting.value)
      text += concat(text.empty() ? "" : "; ", setting.name, ' ', shortened(value), ", expected ", setting.value);
  }
  require<ShapeError>(text.empty(), sentence_about(path), " was written with ", shortened(text, 1500));
}

/// Texts without what the library keeps for itself.
inline Texts users_of(Texts const& metadata) {
  Texts texts;
  for (auto const& [name, text] : metadata)
    if (!is_reserved(name)) texts[name] = text;
  return texts;
}

/// What all ranks must have alike, by the names that a sentence should have.
inline void add_settings(Description const& description, std::vector<comm::Setting>& settings) {
  for (auto const& list : {description.settings(), description.notes()})
    for (auto const& [name, value] : list) settings.push_back({name, value});
  auto const& names = description.channels().names;
  for (std::size_t c = 0; c < names.size(); ++c) settings.push_back({concat("the name of channel ", c), names[c]});
}

} // namespace dchag::detail
