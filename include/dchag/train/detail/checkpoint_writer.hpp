// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/train/detail/checkpoint_names.hpp>
#include <dchag/train/detail/checkpoint_plan.hpp>
#include <dchag/train/detail/checksum.hpp>
#include <dchag/train/detail/folder.hpp>
#include <dchag/train/safetensors.hpp>

#include <random>

namespace dchag::detail {

/// Writes runs of bytes and sums up their checksum. Runs that follow each other in the file are written at once.
class RunWriter {
public:
  explicit RunWriter(File& file) : m_file(file) {}

  /// The offset and the number of bytes are multiples of 4.
  void put(std::size_t offset, void const* data, std::size_t bytes) {
    m_sum += checksum_of(offset, data, bytes);
    if (offset != m_begin + m_bytes.size() || m_bytes.size() + bytes > most) flush();
    if (bytes >= most) {
      m_file.write(offset, data, bytes);
      return;
    }
    if (m_bytes.empty()) m_begin = offset;
    auto const* const from = static_cast<char const*>(data);
    m_bytes.insert(m_bytes.end(), from, from + bytes);
  }

  /// Writes what is left; returns the checksum of all.
  std::uint64_t finish() {
    flush();
    return m_sum;
  }

private:
  void flush() {
    if (!m_bytes.empty()) m_file.write(m_begin, m_bytes.data(), m_bytes.size());
    m_bytes.clear();
  }

  static constexpr std::size_t most = std::size_t{4} << 20;
  File& m_file;
  std::vector<char> m_bytes;
  std::size_t m_begin = 0;
  std::uint64_t m_sum = 0;
};

inline bool writes_something(CheckpointPlan const& plan, int rank) {
  return std::ranges::any_of(plan, [&](auto const& array) {
    return std::ranges::any_of(array.parts, [&](auto const& part) { return part.rank == rank; });
  });
}

/// Calls f(array, planned array, part's index) for every part that this rank writes, in the order of the plan.
template <class F>
void for_each_own_part(CheckpointPlan const& plan, std::vector<CheckpointArray> const& arrays, int rank, F const& f) {
  std::map<std::string_view, CheckpointArray const*> own;
  for (auto const& array : arrays) own[array.name] = &array;
  for (auto const& planned : plan)
    for (std::size_t i = 0; i < planned.parts.size(); ++i)
      if (planned.parts[i].rank == rank) f(*own.at(planned.name), planned, i);
}

/// Digits for the names of this save's unfinished files (see `unfinished`), the same on every rank.
/// Collective: rank 0 draws them; one all-reduce of one int, two broadcasts.
inline std::string agree_on_writer(comm::Communicator const& world) {
  auto const own = comm::collectively(world, [&]() -> std::string {
    if (world.rank() != 0) return "";
    std::random_device device;
    return checksum_digits(std::uint64_t{device()} << 32 | device());
  });
  return comm::broadcast_text(world, own, 0);
}

/// All arrays in one file, each rank writing its parts.
/// Collective: one all-reduce of 8 bytes, six of one int, two broadcasts of at most 16 bytes.
inline void write_one_file(comm::Communicator const& world, std::filesystem::path const& path,
                           CheckpointPlan const& plan, std::vector<CheckpointArray> const& arrays,
                           Texts const& metadata) {
  bool const first = world.rank() == 0;
  SafetensorsHeader header{{}, metadata, 0};
  for (auto const& array : plan) header.tensors.push_back({array.name, array.dtype, array.parts[0].piece.whole()});
  auto const head = comm::collectively(world, [&] { return make_safetensors_header(header); });
  auto const temporary = unfinished(path, agree_on_writer(world));
  try {
    std::optional<File> file;
    comm::collectively(world, [&] {
      if (first) file = File::create(temporary);
    });
    auto sum = comm::collectively(world, [&] {
      if (!first && !writes_something(plan, world.rank())) return std::uint64_t{0};
      if (!first) file = File::modify(temporary);
      RunWriter writer(*file);
      for_each_own_part(plan, arrays, world.rank(), [&](auto const& array, auto const& planned, std::size_t) {
        auto const& tensor = header.tensors[static_cast<std::size_t>(&planned - plan.data())];
        std::size_t const size = size_of(array.dtype);
        array.read([&](void const* values) {
          array.piece.for_each_run([&](Piece::Run const& run) {
            writer.put(tensor.begin + run.whole * size, static_cast<char const*>(values) + run.local * size,
                       run.size * size);
          });
        });
      });
      return writer.finish();
    });
    sum = comm::all_reduce(world, sum, comm::Reduce::sum);
    comm::collectively(world, [&] {
      if (first) {
        auto const whole = with_checksum(head, checksum_digits(sum + checksum_of(0, head.data(), head.size())));
        file->write(0, whole.data(), whole.size());
      }
      if (file) file->finish();
    });
    comm::collectively(world, [&] {
      if (!first) return;
      rename_file(temporary, path);
      sync_folder(folder_of(path));
    });
  } catch (...) {
    if (first) remove_file(temporary);
    throw;
  }
}

/// What a shard calls a part: the array's name if it is the whole, otherwise with the part's number.
inline std::string stored_name(PlannedArray const& array, std::size_t part) {
  return array.parts[part].piece.is_whole() ? array.name : concat(array.name, '#', part);
}

inline std::string const part_prefix = "dchag.part.";

/// The header of one rank's shard: its parts, and what they are parts of.
inline SafetensorsHeader shard_header(CheckpointPlan const& plan, int rank, Texts const& metadata) {
  SafetensorsHeader header{{}, metadata, 0};
  for (auto const& array : plan)
    for (std::size_t i = 0; i < array.parts.size(); ++i) {
      auto const& [piece, writer] = array.parts[i];
      if (writer != rank) continue;
      auto const name = stored_name(array, i);
      header.tensors.push_back({name, array.dtype, piece.is_box() ? piece.shape() : std::vector{piece.size()}});
      if (!piece.is_whole()) header.metadata[part_prefix + name] = json_text(Json{array.name, piece.to_json()});
    }
  return header;
}

/// Where each tensor is, as Hugging Face's index; and the checksums of the shards, so that no two checkpoints are
/// mixed.
inline std::string index_text(std::filesystem::path const& path, CheckpointPlan const& plan,
                              std::vector<std::uint64_t> const& sums, Texts metadata) {
  std::size_t bytes = 0;
  Json weight_map = Json::object();
  int const ranks = static_cast<int>(sums.size());
  for (auto const& array : plan)
    for (std::size_t i = 0; i < array.parts.size(); ++i) {
      weight_map[stored_name(array, i)] = shard_of(path, array.parts[i].rank, ranks).filename().string();
      bytes += array.parts[i].piece.size() * size_of(array.dtype);
    }
  Json shards = Json::object();
  for (int rank = 0; rank < ranks; ++rank)
    shards[shard_of(path, rank, ranks).filename().string()] = checksum_digits(sums[static_cast<std::size_t>(rank)]);
  Json head(metadata);
  head["total_size"] = bytes;
  head["dchag.shards"] = shards;
  auto const text = json_text(Json{{"metadata", head}, {"weight_map", weight_map}});
  return with_checksum(text, checksum_digits(checksum_of(0, text.data(), text.size())));
}

/// A file for each rank with the parts that it writes, and an index. Rank 0 gives them their names, the index last: no
/// rank that outlives it in a dying job can change what the next job finds.
/// Collective: one all-reduce of 8 bytes for each rank, five of one int, two broadcasts of at most 16 bytes.
inline void write_shards(comm::Communicator const& world, std::filesystem::path const& path, CheckpointPlan const& plan,
                         std::vector<CheckpointArray> const& arrays, Texts const& metadata) {
  bool const first = world.rank() == 0;
  auto const index = index_of(path);
  SafetensorsHeader header;
  auto const head = comm::collectively(world, [&] {
    require<Error>(is_utf8(path.filename().string()), "save_checkpoint: the name '", path_text(path.filename()),
                   "' is not UTF-8, expected one that an index of shards can hold");
    if (first)
      require<Error>(!is_there(index), "save_checkpoint: '", path_text(index),
                     "' exists; files of several ranks cannot be replaced at once, expected a name of its own");
    header = shard_header(plan, world.rank(), metadata);
    return make_safetensors_header(header);
  });
  auto const writer_name = agree_on_writer(world);
  auto const shard = [&](int rank) { return shard_of(path, rank, world.size()); };
  auto const own = unfinished(shard(world.rank()), writer_name);
  std::vector<std::filesystem::path> written{own}; // by this rank
  try {
    std::vector<std::uint64_t> sums(static_cast<std::size_t>(world.size()));
    sums[static_cast<std::size_t>(world.rank())] = comm::collectively(world, [&] {
      File file = File::create(own);
      RunWriter writer(file);
      std::size_t next = 0;
      for_each_own_part(plan, arrays, world.rank(), [&](auto const& array, auto const&, std::size_t) {
        auto const& tensor = header.tensors[next++];
        array.read([&](void const* values) { writer.put(tensor.begin, values, tensor.end - tensor.begin); });
      });
      auto const sum = writer.finish() + checksum_of(0, head.data(), head.size());
      auto const whole = with_checksum(head, checksum_digits(sum));
      file.write(0, whole.data(), whole.size());
      file.finish();
      return sum;
    });
    sums = comm::all_reduce(world, std::move(sums), comm::Reduce::sum);
    comm::collectively(world, [&] {
      if (!first) return;
      auto const text = index_text(path, plan, sums, metadata);
      written.push_back(unfinished(index, writer_name));
      File file = File::create(written.back());
      file.write(0, text.data(), text.size());
      file.finish();
      for (int rank = 0; rank < world.size(); ++rank) {
        rename_file(unfinished(shard(rank), writer_name), shard(rank));
        written.push_back(shard(rank));
      }
      sync_folder(folder_of(path)); // an index on the disk has all its shards
      written.push_back(index);
      rename_file(unfinished(index, writer_name), index);
      sync_folder(folder_of(path));
    });
  } catch (...) { // the index goes first: without it the shards are no checkpoint
    for (; !written.empty(); written.pop_back()) remove_file(written.back());
    throw;
  }
}

} // namespace dchag::detail
