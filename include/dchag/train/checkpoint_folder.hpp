// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/train/checkpoint.hpp>
#include <dchag/train/detail/folder_lock.hpp>

#include <functional>
#include <set>

namespace dchag {

/// The checkpoints of a run in a folder of their own: `step_00000042.safetensors`, of which the newest are kept.
///
/// A run that goes back, because the newest is damaged or because it starts anew in the folder of another, makes the
/// checkpoints of later steps history: once a new one is whole they, and those that `newest_complete` found damaged,
/// are renamed, with `.superseded` at the end, and are no checkpoints any more. Only files of the names that this class
/// gives (detail/checkpoint_names.hpp) are ever renamed or removed; whatever else is in the folder stays. The layout
/// may change from run to run.
///
/// One job at a time has the folder: rank 0 holds a lock on its file `checkpoints.lock` for as long as this object, or
/// a copy, or another of the same process lives. The system takes it back from a job that dies. Where the file system
/// has no locks, or none between nodes, `lock_warning` says so and the job goes on: its unfinished files have names of
/// its own, but another job's checkpoints may then be removed as too old, or set aside. Who only reads needs no lock,
/// and asks the function `newest_complete` of a folder.
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

  /// Makes the folder, and those above it, if they are not there, and locks it. Keeps a reference to the communicator.
  /// Collective: all ranks; one all-reduce of 16 bytes, one of one int; two broadcasts, of a text and its length.
  /// Throws, the same on every rank: Error if another job has the folder, with its process and host, or if fewer than 2
  /// are to be kept: the newest may turn out to be broken; SystemError if the folder or its lock cannot be made.
  CheckpointFolder(comm::Communicator const& world, std::filesystem::path folder, std::size_t keep = 2,
                   CheckpointLayout layout = CheckpointLayout::one_file)
      : m_world(world), m_folder(std::move(folder)), m_keep(keep), m_layout(layout) {
    comm::require_same(world, "CheckpointFolder",
                       {{"folder", m_folder.string()}, {"keep", keep}, {"layout", static_cast<int>(layout)}});
    comm::collectively(world, [&] {
      require<Error>(keep >= 2, "CheckpointFolder: keeps ", keep, " checkpoints, expected at least 2");
      if (m_world.rank() != 0) return;
      detail::make_folders("CheckpointFolder", m_folder);
      m_lock = detail::FolderLock::of(m_folder);
    });
    m_lock_warning = comm::broadcast_text(world, m_lock == nullptr ? "" : m_lock->warning(), 0);
  }

  CheckpointFolder(comm::Communicator const&&, std::filesystem::path, std::size_t = 2,
                   CheckpointLayout = CheckpointLayout::one_file) = delete;

  /// Why another job may write to the folder all the same, on every rank; empty if none can.
  std::string const& lock_warning() const { return m_lock_warning; }

  std::filesystem::path path_of(std::int64_t step) const { return m_folder / detail::step_name(step); }

  /// Writes the checkpoint of a step, sets those of later steps and those known to be damaged aside, and removes all
  /// but the newest up to this one, and what dead jobs left unfinished. One of the same step is replaced; of several
  /// files, it is set aside before. An old file that cannot be removed stays.
  /// Collective and Throws: as `save_checkpoint`; those of other steps are untouched if that throws. Error if the step
  /// is negative or another job has the folder by now; SystemError if a file cannot be renamed.
  void save(std::int64_t step, Checkpoint const& checkpoint) const {
    bool const shards = m_layout == CheckpointLayout::shards;
    comm::collectively(m_world, [&] {
      require<Error>(step >= 0, "CheckpointFolder::save: step is ", step, ", expected at least 0");
      if (m_lock == nullptr) return; // not rank 0
      m_lock->renew();
      remove_unfinished();
      if (shards) set_aside([&](StepFile const& file) { return file.step == step; });
    });
    save_checkpoint(m_world, path_of(step), checkpoint, m_layout);
    comm::collectively(m_world, [&] {
      if (m_lock == nullptr) return;
      set_aside([&](StepFile const& file) {
        bool const of_another_layout = file.step == step && !shards && file.kind != StepFile::Kind::one_file;
        return file.step > step || (file.step < step && m_damaged.count(file.step) > 0) || of_another_layout;
      });
      m_damaged.clear();
      remove_older();
    });
  }

  /// Verifies checkpoints from the newest on until one is whole. Passes over those that are damaged, and only those.
  /// Collective: as `verify_checkpoint`, for each that is looked at, and one broadcast.
  /// Throws, the same on every rank, with nothing changed: SystemError if the folder or a checkpoint cannot be read:
  /// what it holds is not known then; Error if a checkpoint has a format that this library does not know.
  Newest newest_complete() const { return newest_in(m_world, m_folder, m_damaged); }

  /// The same of a folder that another job may be writing to: for who only reads. Takes no lock, makes and changes
  /// nothing. That job may remove or replace a checkpoint while it is read, the newest only with its later saves: a
  /// SystemError or a checkpoint in `skipped` may come of that, so ask again then.
  /// Collective: one all-reduce of 16 bytes; else as the member.
  /// Throws: as the member; CommError if ranks name different folders; SystemError if there is no such folder.
  static Newest newest_complete(comm::Communicator const& world, std::filesystem::path const& folder) {
    comm::require_same(world, "CheckpointFolder::newest_complete", "folder", folder.string());
    std::set<std::int64_t> damaged;
    return newest_in(world, folder, damaged);
  }

private:
  using StepFile = detail::StepFile;

  static Newest newest_in(comm::Communicator const& world, std::filesystem::path const& folder,
                          std::set<std::int64_t>& damaged) {
    auto const own = comm::collectively(
        world, [&] { return world.rank() == 0 ? detail::json_text(detail::Json(steps(folder))) : std::string(); });
    auto const list = detail::Json::parse(comm::broadcast_text(world, own, 0)).get<std::vector<std::int64_t>>();
    Newest newest;
    for (auto const step : list) {
      auto const path = folder / detail::step_name(step);
      try {
        verify_checkpoint(world, path);
        newest.path = path;
        newest.step = step;
        break;
      } catch (DamagedError const& error) {
        // only what all ranks threw leaves them in step
        if (dynamic_cast<comm::ThrownTogether const*>(&error) == nullptr) throw;
        newest.skipped.emplace_back(error.what());
        damaged.insert(step);
      }
    }
    return newest;
  }

  // What of a folder is this class' own, by name.
  static std::map<std::string, StepFile> files(std::filesystem::path const& folder) {
    std::map<std::string, StepFile> found;
    for (auto const& name : detail::names_in(folder))
      if (auto const file = detail::step_file(name)) found.emplace(name, *file);
    return found;
  }

  // Those that got their name, the newest first. Shards without their index are no checkpoint.
  static std::vector<std::int64_t> steps(std::filesystem::path const& folder) {
    std::set<std::int64_t, std::greater<>> found;
    for (auto const& [name, file] : files(folder))
      if (file.state == StepFile::State::whole && file.kind != StepFile::Kind::shard) found.insert(file.step);
    return {found.begin(), found.end()};
  }

  // Calls f with the path of every file that is chosen, an index before its shards.
  template <class Chosen, class F>
  void for_each_file(Chosen const& chosen, F const& f) const {
    auto const found = files(m_folder);
    for (bool const index : {true, false})
      for (auto const& [name, file] : found)
        if ((file.kind == StepFile::Kind::index) == index && chosen(file)) f(m_folder / name, file);
  }

  template <class Chosen>
  void set_aside(Chosen const& chosen) const {
    for_each_file([&](StepFile const& file) { return file.state == StepFile::State::whole && chosen(file); },
                  [](std::filesystem::path const& path, StepFile const&) {
                    auto aside = path;
                    detail::rename_file(path, aside += ".superseded");
                  });
  }

  // What a job is writing has a name of its own; whoever has the lock knows that the others' jobs are dead.
  void remove_unfinished() const {
    if (!m_lock->warning().empty()) return;
    for_each_file([](StepFile const& file) { return file.state == StepFile::State::unfinished; },
                  [](std::filesystem::path const& path, StepFile const&) { detail::remove_file(path); });
  }

  // What is set aside goes with older ones. Where an index stays, its shards do.
  void remove_older() const {
    auto const kept = steps(m_folder);
    if (kept.size() <= m_keep) return;
    std::set<std::int64_t> stay;
    for_each_file(
        [&](StepFile const& file) { return file.step < kept[m_keep - 1] && file.state != StepFile::State::unfinished; },
        [&](std::filesystem::path const& path, StepFile const& file) {
          if (stay.count(file.step) == 0 && !detail::remove_file(path) && file.kind == StepFile::Kind::index)
            stay.insert(file.step);
        });
  }

  comm::Communicator const& m_world;
  std::filesystem::path m_folder;
  std::size_t m_keep;
  CheckpointLayout m_layout;
  std::shared_ptr<detail::FolderLock> m_lock; // of rank 0
  std::string m_lock_warning;
  mutable std::set<std::int64_t> m_damaged; // steps that were skipped since the last save
};

} // namespace dchag
