// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/train/detail/checkpoint_reader.hpp>
#include <dchag/train/metadata.hpp>

/// \file
/// Parameters and moments in safetensors files, whole arrays by name: whatever number of ranks wrote a file, any other
/// reads it.
///
///     save_checkpoint(world, "toy.safetensors", {model, optimizer, {{"step", step}, {"seed", seed}}});
///     auto const metadata = load_checkpoint(world, "toy.safetensors", {model, optimizer});
///     step = metadata.get<std::size_t>("step");
///
/// The file is described in docs/weights.md, for who reads it without this library.
namespace dchag {

namespace detail {
struct AnyState {
  template <class Spec, class First, class Second>
  void operator()(Spec const&, First const&, Second const&) const {}
};
} // namespace detail

/// An optimizer with two moments for each parameter and a count of its steps, as `AdamW`.
template <class O>
concept HasMoments = requires(O& optimizer, std::int64_t steps) {
  steps = optimizer.steps();
  optimizer.set_steps(steps);
  optimizer.for_each_state(detail::AnyState{});
};

/// What goes into a checkpoint or comes out of one: the parameters of a model, the moments of its optimizer, and what
/// else the run has to know. It keeps references to model and optimizer. A model that says what it means (`Described`,
/// as all of this library do) has that stored and compared. A model that must be told when its values change
/// (`values_changed`, as `parallel::DataParallel`'s) is told after they were read.
class Checkpoint {
public:
  /// Throws: Error if a parameter's values are not those its spec says it holds, or it is deferred.
  template <HasParameters Model>
  Checkpoint(Model& model, Metadata metadata = {}) : m_metadata(std::move(metadata)) {
    model.for_each_parameter([&](auto& parameter) {
      require<Error>(!parameter.is_deferred(), "Checkpoint: ", parameter.name(), " is deferred, expected values");
      add(parameter.name(), parameter.spec(), parameter.values());
    });
    m_parameters = m_arrays.size();
    if constexpr (Described<Model>) m_description = model.describe();
    if constexpr (requires { model.values_changed(); }) m_values_changed = [&model] { model.values_changed(); };
  }

  /// The optimizer must hold its moments already: construct it with the model.
  /// Throws: Error if it does not.
  template <HasParameters Model, HasMoments Optimizer>
  Checkpoint(Model& model, Optimizer& optimizer, Metadata metadata = {}) : Checkpoint(model, std::move(metadata)) {
    optimizer.for_each_state([&](ParameterSpec const& spec, auto const& first, auto const& second) {
      add("optimizer.first_moment." + spec.name, spec, first);
      add("optimizer.second_moment." + spec.name, spec, second);
    });
    require<Error>(m_arrays.size() == 3 * m_parameters, "Checkpoint: the optimizer has ",
                   m_arrays.size() - m_parameters, " moments, expected two for each of ", m_parameters,
                   " parameters: construct it with the model");
    m_steps = [&optimizer] { return static_cast<std::int64_t>(optimizer.steps()); };
    m_set_steps = [&optimizer](std::int64_t steps) { optimizer.set_steps(steps); };
  }

  std::vector<detail::CheckpointArray> const& arrays() const { return m_arrays; }
  Metadata const& metadata() const { return m_metadata; }
  /// Empty if the model does not say what it means.
  Description const& description() const { return m_description; }
  bool has_optimizer() const { return static_cast<bool>(m_steps); }
  std::int64_t optimizer_steps() const { return m_steps(); }
  void set_optimizer_steps(std::int64_t steps) const { m_set_steps(steps); }
  void values_changed() const {
    if (m_values_changed) m_values_changed();
  }

private:
  // Memory that is bound to nothing holds nothing: a shard may have no value of a short parameter.
  template <class Values>
  void add(std::string name, ParameterSpec const& spec, Values const& values) {
    if (values.extent(0) > 0) m_arrays.emplace_back(std::move(name), spec, values);
  }

  std::vector<detail::CheckpointArray> m_arrays;
  std::size_t m_parameters = 0;
  Metadata m_metadata;
  Description m_description;
  std::function<std::int64_t()> m_steps;
  std::function<void(std::int64_t)> m_set_steps;
  std::function<void()> m_values_changed;
};

/// How a checkpoint lies on the disk.
enum class CheckpointLayout {
  one_file, ///< `toy.safetensors`, written by all ranks at once; the same bytes for every number of ranks. Not for file
            ///< systems that move whole pages between the nodes that write to one file, as NFS does
  shards    ///< `toy-00001-of-00004.safetensors`, ... one for each rank, and `toy.safetensors.index.json`
};

namespace detail {
inline constexpr char const* optimizer_steps_name = "dchag.optimizer_steps";

inline Texts metadata_of(Checkpoint const& checkpoint) {
  Texts texts = checkpoint.metadata().texts();
  for (auto const& [name, text] : texts)
    require<Error>(!is_reserved(name), "save_checkpoint: metadata '", shortened(name),
                   "', expected no name that begins with dchag.");
  texts["dchag.format"] = "1";
  if (checkpoint.description() != Description()) texts[description_name] = text_of(checkpoint.description());
  texts[checksum_name] = no_checksum;
  if (checkpoint.has_optimizer()) texts[optimizer_steps_name] = std::to_string(checkpoint.optimizer_steps());
  return texts;
}
} // namespace detail

/// Writes a checkpoint. It gets its name when it is whole and on the disk: until then a file of that name stays as it
/// is, also if the program or the machine stops. A piece that several ranks hold is written by the lowest of them.
/// Floating-point numbers in the metadata are rank 0's: other ranks may have rounded theirs differently.
///
/// Collective: all ranks that hold parts of the model, once each. What they hold is gathered at rank 0 and broadcast;
/// after that a few all-reduces of at most 8 bytes a rank, and two broadcasts for each floating-point number. Waits for
/// all work on the device.
/// Throws, the same on every rank: CommError if paths or other metadata differ between ranks; SystemError if it cannot
/// be written: no such folder, no right to write, a full disk; Error if some value is held by no rank or in two ways,
/// if names and metadata are longer than a header may be (`SafetensorsHeader::longest`); with shards, if there is such
/// a checkpoint already, since several files cannot be replaced at once. What was written is removed then.
inline void save_checkpoint(comm::Communicator const& world, std::filesystem::path const& path,
                            Checkpoint const& checkpoint, CheckpointLayout layout = CheckpointLayout::one_file) {
  auto metadata = comm::collectively(world, [&] { return detail::metadata_of(checkpoint); });
  std::vector<comm::Setting> settings{{"path", path.string()}, {"layout", static_cast<int>(layout)}};
  detail::add_settings(checkpoint.description(), settings);
  for (auto const& [name, text] : metadata)
    settings.push_back({name, checkpoint.metadata().is_floating_point(name) ? "a floating-point number" : text});
  comm::require_same(world, "save_checkpoint", settings);
  for (auto& [name, text] : metadata)
    if (checkpoint.metadata().is_floating_point(name)) text = comm::broadcast_text(world, text, 0);
  Kokkos::fence();
  auto const plan = detail::agree_on_plan(world, checkpoint.arrays());
  if (layout == CheckpointLayout::one_file)
    detail::write_one_file(world, path, plan, checkpoint.arrays(), metadata);
  else
    detail::write_shards(world, path, plan, checkpoint.arrays(), metadata);
}

/// Returns if the checkpoint is complete and every byte as it was written. Files of other origin have no checksum; of
/// them only the headers are checked.
/// Throws, the same on every rank: DamagedError if it was read and is not as it was written; SystemError if it could
/// not be read, which says nothing about what it holds; Error if it has a format that this library does not know.
/// Collective: headers are broadcast by rank 0; each rank reads an equal share of the bytes.
inline void verify_checkpoint(comm::Communicator const& world, std::filesystem::path const& path) {
  detail::verify_stored(world, detail::open_stored(world, path));
}

/// What a checkpoint says besides its arrays.
struct CheckpointMetadata {
  Metadata metadata;                           ///< what the program gave
  std::optional<Description> description = {}; ///< of the model; none in files of other origin and of older versions
};

/// Reads what a checkpoint says without a model. Nothing but the headers is read and checked, not the checksum: see
/// `verify_checkpoint`.
/// Collective: all ranks. Headers are broadcast by rank 0; a few all-reduces of at most 16 bytes.
/// Throws, the same on every rank: CommError if paths differ between ranks; SystemError if the file cannot be read, as
/// one that is not there; DamagedError if its headers are not whole.
inline CheckpointMetadata read_metadata(comm::Communicator const& world, std::filesystem::path const& path) {
  comm::require_same(world, "read_metadata", "path", path.string());
  auto const stored = detail::open_stored(world, path);
  return comm::collectively(world, [&] {
    return CheckpointMetadata{Metadata(detail::users_of(stored.metadata)),
                              detail::stored_description(path, stored.metadata)};
  });
}

/// The metadata of a checkpoint that was loaded.
struct LoadedMetadata : Metadata {
  std::vector<std::string> remarks = {}; ///< what the user should know, a sentence each: such as that channels were put
                                         ///< into another order, or what the file does not tell
};

namespace detail {
/// The optimizer's step count in the file; none if it is not asked for, or may be missing with all moments.
inline std::optional<std::int64_t> steps_of(Checkpoint const& checkpoint, Match const& match, StoredFiles const& stored,
                                            LoadOptions const& options) {
  if (!checkpoint.has_optimizer()) return std::nullopt;
  bool const moments = std::ranges::any_of(
      match.wanted, [](auto const& wanted) { return wanted.array->name.rfind(optimizer_prefix, 0) == 0; });
  Metadata const metadata(stored.metadata);
  if (options.allow_missing && !moments && !metadata.contains(optimizer_steps_name)) return std::nullopt;
  return metadata.get<std::int64_t>(optimizer_steps_name);
}
} // namespace detail

/// Reads parameters, and moments and step count if the checkpoint has an optimizer, from a file `path` or, if there is
/// none, from the files of its index; returns the metadata that was stored. Numbers of 16, 32 or 64 bits become the
/// model's. A model without its optimizer passes over moments.
///
/// What the model says of itself must be what the file's says, as far as both say something of it; channels that have
/// names are matched by them, in whatever order (docs/weights.md). A stored shape must be the array's, or the array's
/// with leading axes merged, or a convolution's; where the options name the sources,
/// rows must be cut alike (as `torch.Tensor.view` may do, but no transposed matrix). Collective: all ranks. Headers are
/// broadcast by rank 0, names gathered there, and a few all-reduces of one int; each rank reads its share of the bytes
/// for the checksum, then what it holds; then what `values_changed` of the model says.
///
/// A file of weights alone is read into {model, optimizer} with `allow_missing`: the optimizer keeps its moments and
/// step count, which are zero in a new one.
///
/// Throws, the same on every rank, before anything is changed: as `verify_checkpoint`; ShapeError if the file's model
/// means something else, or arrays are missing, unexpected or of another shape, of which all are named. After that only
/// a failing disk can interrupt it, a SystemError, and leaves the model half changed.
inline LoadedMetadata load_checkpoint(comm::Communicator const& world, std::filesystem::path const& path,
                                      Checkpoint const& checkpoint, LoadOptions const& options = {}) {
  std::vector<comm::Setting> settings{{"path", path.string()},
                                      {"sources", static_cast<bool>(options.sources)},
                                      {"allow_missing", options.allow_missing},
                                      {"allow_unexpected", options.allow_unexpected},
                                      {"verify", options.verify},
                                      {"optimizer", checkpoint.has_optimizer()}};
  for (auto const& name : options.may_differ) settings.push_back({"a setting that may differ", name});
  detail::add_settings(checkpoint.description(), settings);
  comm::require_same(world, "load_checkpoint", settings);
  auto const stored = detail::open_stored(world, path);
  if (options.verify) detail::verify_stored(world, stored);
  LoadedMetadata loaded{Metadata(detail::users_of(stored.metadata))};
  auto const match = comm::collectively(world, [&] {
    auto const channels =
        detail::match_models(path, stored.metadata, checkpoint.description(), options, loaded.remarks);
    return detail::match_of(checkpoint.arrays(), stored, options.sources, channels);
  });
  detail::require_match(world, path, match, stored, options, checkpoint.has_optimizer());
  auto const steps = comm::collectively(world, [&] { return detail::steps_of(checkpoint, match, stored, options); });
  comm::collectively(world, [&] {
    detail::with_memory_for(path, [&] {
      detail::RunReader reader(stored);
      for (auto const& wanted : match.wanted) reader.read(wanted);
    });
  });
  if (steps) checkpoint.set_optimizer_steps(*steps);
  checkpoint.values_changed();
  return loaded;
}

} // namespace dchag
