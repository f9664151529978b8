// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

/// \file
/// The names of a checkpoint's files, `toy.safetensors` by way of example, and of those in a `CheckpointFolder`:
///
///     toy.safetensors                              one file
///     toy-00002-of-00004.safetensors               or one for each rank
///     toy.safetensors.index.json                   and their index
///     <any of these>.0123456789abcdef.unfinished   until it is whole
///     <any of these>.superseded                    in a folder, when it is no checkpoint any more
namespace dchag::detail {

/// "toy.safetensors" -> "toy.safetensors.index.json"
inline std::filesystem::path index_of(std::filesystem::path path) {
  return path += ".index.json";
}

/// "toy.safetensors", rank 1 of 4 -> "toy-00002-of-00004.safetensors"
inline std::filesystem::path shard_of(std::filesystem::path const& path, int rank, int ranks) {
  char digits[32] = {};
  std::snprintf(digits, sizeof(digits), "-%05d-of-%05d", rank + 1, ranks);
  return path.parent_path() / (path.stem().string() + digits + path.extension().string());
}

/// The name that a file has until it is whole. `writer`, so many hexadecimal digits, is of one save alone: no other
/// job, and no later save, writes to the file.
inline constexpr std::size_t writer_digits = 16;
inline std::filesystem::path unfinished(std::filesystem::path path, std::string const& writer) {
  return path += "." + writer + ".unfinished";
}

/// Of step 42: "step_00000042.safetensors"
inline std::string step_name(std::int64_t step) {
  auto const digits = std::to_string(step);
  return "step_" + std::string(digits.size() < 8 ? 8 - digits.size() : 0, '0') + digits + ".safetensors";
}

/// A file that a `CheckpointFolder` wrote.
struct StepFile {
  enum class Kind { one_file, index, shard };
  enum class State { whole, unfinished, superseded };
  std::int64_t step;
  Kind kind;
  State state;
};

/// What a name in the folder is; none if this library gives no such name. A file that is called
/// "step_00000042.safetensors.best" is its user's.
inline std::optional<StepFile> step_file(std::string_view name) {
  auto const cut = [&name](std::string_view ending) {
    bool const found = name.ends_with(ending);
    if (found) name.remove_suffix(ending.size());
    return found;
  };
  StepFile file{0, StepFile::Kind::one_file, StepFile::State::whole};
  if (cut(".superseded")) {
    file.state = StepFile::State::superseded;
  } else if (cut(".unfinished")) {
    file.state = StepFile::State::unfinished;
    auto const writer = name.substr(name.size() - (std::min)(name.size(), 1 + writer_digits));
    // earlier versions had no writer in their names
    if (writer.starts_with('.') && writer.find_first_not_of("0123456789abcdef", 1) == writer.npos) cut(writer);
  }
  if (cut(".index.json")) file.kind = StepFile::Kind::index;
  // What the numbers in it say must give the same name.
  int rank = 0, ranks = 0;
  std::string const text(name);
  int const numbers = std::sscanf(text.c_str(), "step_%" SCNd64 "-%d-of-%d", &file.step, &rank, &ranks);
  if (numbers < 1 || file.step < 0) return std::nullopt;
  std::filesystem::path expected = step_name(file.step);
  if (numbers == 3 && file.kind == StepFile::Kind::one_file && rank >= 1 && rank <= ranks) {
    file.kind = StepFile::Kind::shard;
    expected = shard_of(expected, rank - 1, ranks);
  }
  return text == expected.string() ? std::optional(file) : std::nullopt;
}

} // namespace dchag::detail
