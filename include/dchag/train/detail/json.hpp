// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/error.hpp>

#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <vector>

namespace dchag::detail {

using Json = nlohmann::json;

/// Reads JSON.
/// Throws: DamagedError "<what> is not JSON in UTF-8 ..." or "<what> has the name ... twice", or if it nests deeper
/// than any that is meant well: such JSON would overflow the stack of whoever walks through it.
inline Json parse_json(std::string const& what, std::string_view text) {
  std::vector<std::set<std::string>> names; // of the objects that are open
  auto const watch = [&](int depth, Json::parse_event_t event, Json& parsed) {
    require<DamagedError>(depth < 32, what, " nests lists deeper than 32");
    if (event == Json::parse_event_t::object_start) names.emplace_back();
    if (event == Json::parse_event_t::object_end) names.pop_back();
    if (event == Json::parse_event_t::key) {
      auto const& name = parsed.get_ref<std::string const&>();
      require<DamagedError>(names.back().insert(name).second, what, " has the name '", shortened(name), "' twice");
    }
    return true;
  };
  try {
    return Json::parse(text.begin(), text.end(), watch);
  } catch (Json::parse_error const& error) {
    throw DamagedError(concat(what, " of ", text.size(), " bytes is not JSON in UTF-8: wrong at byte ", error.byte));
  } catch (Json::exception const&) { // a number that no double holds
    throw DamagedError(concat(what, " of ", text.size(), " bytes is not JSON: it has a number out of range"));
  }
}

/// Writes JSON without spaces.
/// Throws: Error if a text is not UTF-8.
inline std::string json_text(Json const& json) {
  try {
    return json.dump();
  } catch (Json::exception const&) {
    throw Error("a name or text to be stored is not UTF-8");
  }
}

/// Whether JSON can hold a text.
inline bool is_utf8(std::string const& text) {
  try {
    Json(text).dump();
    return true;
  } catch (Json::exception const&) {
    return false;
  }
}

/// JSON of unknown origin for a sentence.
inline std::string short_text(Json const& json) {
  return shortened(json.dump(-1, ' ', true, Json::error_handler_t::replace));
}

/// At most ten names for a sentence, and no more than fit into 500 bytes.
inline std::string names_text(std::set<std::string> const& names) {
  std::string text;
  std::size_t count = 0;
  for (auto const& name : names) {
    auto const item = shortened(name, 160);
    if (count == 10 || (count > 0 && text.size() + item.size() > 500))
      return concat(text, " and ", names.size() - count, " more");
    text += (count > 0 ? "; " : "") + item;
    ++count;
  }
  return text;
}

} // namespace dchag::detail
