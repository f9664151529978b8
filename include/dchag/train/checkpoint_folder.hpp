// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/train/checkpoint.hpp>

#include <functional>
#include <set>

namespace dchag {

/// The checkpoints of a run in a folder of their own: `step_00000042.safetensors`, of which the newest are kept.
///
/// A run that goes back, because the newest is damaged or because it starts anew in the folder of another, makes the
/// checkpoints of later steps history: once a new one is whole they, and those that `newest_complete` found damaged,
/// are renamed, with `.superseded` at the end, and are no checkpoints any more.
///
///     CheckpointFolder const folder(world, "run");
///     if (auto const found = folder.newest_complete().path) load_checkpoint(world, *found, {model, optimizer});
///     ...
///     folder.save(step, {model, optimizer, {{"step", step}}});
class CheckpointFolder {
public:
  /// The newest checkpoint that is whole, if there is one, and why newer ones are not.
  struct Newest {
    std::optional<std::filesystem::path> path;
    std::int64_t step = -1;
    std::vector<std::string> skipped; ///< a sentence each
  };

  /// Makes the folder if it is not there. Keeps a reference to the communicator.
  /// Collective: all ranks.
  /// Throws: Error, the same on every rank, if the folder cannot be made or fewer than 2 are to be kept: the newest may
  /// turn out to be broken.
  CheckpointFolder(comm::Communicator const& world, std::filesystem::path folder, std::size_t keep = 2,
                   CheckpointLayout layout = CheckpointLayout::one_file)
      : m_world(world), m_folder(std::move(folder)), m_keep(keep), m_layout(layout) {
    comm::require_same(world, "CheckpointFolder",
                       {{"folder", m_folder.string()}, {"keep", keep}, {"layout", static_cast<int>(layout)}});
    comm::collectively(world, [&] {
      require<Error>(keep >= 2, "CheckpointFolder: keeps ", keep, " checkpoints, expected at least 2");
      if (m_world.rank() != 0) return;
      std::error_code error;
      std::filesystem::create_directories(m_folder, error);
      require<Error>(std::filesystem::is_directory(m_folder), "CheckpointFolder: cannot make the folder '",
                     m_folder.string(), "': ", error ? error.message() : "there is a file of this name");
    });
  }

  CheckpointFolder(comm::Communicator const&&, std::filesystem::path, std::size_t = 2,
                   CheckpointLayout = CheckpointLayout::one_file) = delete;

  std::filesystem::path path_of(std::int64_t step) const {
    auto const digits = std::to_string(step);
    return m_folder / ("step_" + std::string(digits.size() < 8 ? 8 - digits.size() : 0, '0') + digits + ".safetensors");
  }

  /// Writes the checkpoint of a step, sets those of later steps and those known to be damaged aside, and removes all
  /// but the newest up to this one. One of the same step is replaced; of several files, it is set aside before.
  /// Collective and Throws: as `save_checkpoint`; those of other steps are untouched if that throws. Error if the step
  /// is negative or a file cannot be renamed.
  void save(std::int64_t step, Checkpoint const& checkpoint) const {
    comm::collectively(m_world, [&] {
      require<Error>(step >= 0, "CheckpointFolder::save: step is ", step, ", expected at least 0");
      if (m_world.rank() == 0 && m_layout == CheckpointLayout::shards)
        set_aside([&](std::int64_t other) { return other == step; });
    });
    save_checkpoint(m_world, path_of(step), checkpoint, m_layout);
    comm::collectively(m_world, [&] {
      if (m_world.rank() != 0) return;
      set_aside([&](std::int64_t other) { return other > step || (other < step && m_damaged.count(other) > 0); });
      m_damaged.clear();
      remove_older();
    });
  }

  /// Verifies checkpoints from the newest on until one is whole.
  /// Collective: as `verify_checkpoint`, for each that is looked at, and one broadcast.
  /// Throws: Error if the folder cannot be read.
  Newest newest_complete() const {
    auto const own = comm::collectively(
        m_world, [&] { return m_world.rank() == 0 ? detail::json_text(detail::Json(steps())) : std::string(); });
    auto const list = detail::Json::parse(comm::broadcast_text(m_world, own, 0)).get<std::vector<std::int64_t>>();
    Newest newest;
    for (auto const step : list) {
      try {
        verify_checkpoint(m_world, path_of(step));
        newest.path = path_of(step);
        newest.step = step;
        break;
      } catch (Error const& error) {
        // only what all ranks threw leaves them in step
        if (dynamic_cast<comm::ThrownTogether const*>(&error) == nullptr) throw;
        newest.skipped.emplace_back(error.what());
        m_damaged.insert(step);
      }
    }
    return newest;
  }

private:
  static constexpr char const* prefix = "step_";
  static constexpr char const* ending = ".safetensors";

  // Of a file of a checkpoint: "step_00000042.safetensors", "step_00000042-00001-of-00004.safetensors", ...
  static std::optional<std::int64_t> step_of(std::filesystem::path const& path) {
    auto const name = path.filename().string();
    std::string_view const digits = std::string_view(name).substr(std::min<std::size_t>(5, name.size()));
    std::int64_t step = 0;
    auto const [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), step);
    bool const fits = name.rfind(prefix, 0) == 0 && error == std::errc() && step >= 0 && end - digits.data() >= 8;
    return fits && name.find(ending) != name.npos ? std::optional(step) : std::nullopt;
  }

  // Those that got their name, the newest first.
  std::vector<std::int64_t> steps() const {
    std::set<std::int64_t, std::greater<>> found;
    for (auto const& entry : std::filesystem::directory_iterator(m_folder))
      if (auto const step = step_of(entry.path()))
        if (entry.path() == path_of(*step) || entry.path() == detail::index_of(path_of(*step))) found.insert(*step);
    return {found.begin(), found.end()};
  }

  // An index goes before its shards: without it they are no checkpoint.
  template <class Chosen>
  void set_aside(Chosen const& chosen) const {
    std::vector<std::filesystem::path> files;
    for (auto const step : steps())
      if (chosen(step)) files.push_back(detail::index_of(path_of(step)));
    for (auto const& entry : std::filesystem::directory_iterator(m_folder))
      if (auto const step = step_of(entry.path()); step && chosen(*step) && entry.path().extension() == ending)
        files.push_back(entry.path());
    for (auto const& file : files) {
      auto aside = file;
      std::error_code error;
      std::filesystem::rename(file, aside += ".superseded", error);
      require<Error>(!error || error == std::errc::no_such_file_or_directory, "CheckpointFolder: cannot rename '",
                     file.string(), "': ", error.message());
    }
  }

  // What goes with older ones, set aside or unfinished, goes too.
  void remove_older() const {
    auto const kept = steps();
    if (kept.size() <= m_keep) return;
    for (auto i = m_keep; i < kept.size(); ++i) detail::remove_quietly(detail::index_of(path_of(kept[i])));
    std::vector<std::filesystem::path> old;
    for (auto const& entry : std::filesystem::directory_iterator(m_folder))
      if (auto const step = step_of(entry.path()); step && *step < kept[m_keep - 1]) old.push_back(entry.path());
    for (auto const& path : old) detail::remove_quietly(path);
  }

  comm::Communicator const& m_world;
  std::filesystem::path m_folder;
  std::size_t m_keep;
  CheckpointLayout m_layout;
  mutable std::set<std::int64_t> m_damaged; // steps that were skipped since the last save
};

} // namespace dchag
