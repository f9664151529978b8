// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/train/detail/checkpoint_writer.hpp>

namespace dchag::detail {

/// A file of a checkpoint, without its data.
struct StoredFile {
  std::filesystem::path path;
  std::string json; ///< its header
  std::size_t bytes = 0;
  SafetensorsHeader header = {};
};

/// An array in one file or several.
struct StoredArray {
  struct Part {
    std::size_t file;
    StoredTensor tensor;
    Piece piece;
  };
  DType dtype = DType::f32;
  std::vector<std::size_t> whole = {};
  std::vector<Part> parts = {};
};

/// What is on the disk, known to every rank.
struct StoredFiles {
  std::vector<StoredFile> files;
  std::map<std::string, StoredArray> arrays;
  Texts metadata;
};

/// Throws: SystemError if it cannot be read, DamagedError if it is no such file.
inline StoredFile read_header(std::filesystem::path const& path) {
  StoredFile stored{path, {}, 0};
  auto const file = File::read(path);
  stored.bytes = file.size();
  std::string first((std::min)(stored.bytes, SafetensorsHeader::length_bytes), '\0');
  file.read(0, first.data(), first.size());
  stored.json.resize(safetensors_header_length(path.string(), first, stored.bytes));
  file.read(SafetensorsHeader::length_bytes, stored.json.data(), stored.json.size());
  stored.header = parse_safetensors_header(path.string(), stored.json, stored.bytes);
  return stored;
}

/// Whether this library wrote it, and it must therefore have a checksum.
inline bool is_own(Texts const& metadata) {
  return std::ranges::any_of(metadata, [](auto const& entry) { return is_reserved(entry.first); });
}

/// The digits in a text; "" in a file of another origin.
inline std::string checksum_in(std::filesystem::path const& path, std::string_view json, Texts const& metadata) {
  if (!is_own(metadata)) return "";
  auto const at = find_checksum(json);
  require<DamagedError>(at != json.npos && metadata.count(checksum_name) == 1, sentence_about(path),
                        " has no checksum, expected 16 digits");
  return std::string(json.substr(at, no_checksum.size()));
}

inline void require_checksum(std::filesystem::path const& path, std::uint64_t sum, std::string const& expected) {
  require<DamagedError>(checksum_digits(sum) == expected, sentence_about(path), " is damaged: its checksum is ",
                        checksum_digits(sum), ", expected ", shortened(expected));
}

/// What a share of the words of a file adds to its checksum.
inline std::uint64_t checksum_of_share(StoredFile const& stored, std::size_t shares, std::size_t share) {
  auto const words = even_part((stored.bytes + 3) / 4, shares, share);
  if (words.size() == 0) return 0;
  auto const file = File::read(stored.path);
  std::size_t const end = (std::min)(4 * words.end, stored.bytes);
  std::size_t const digits = SafetensorsHeader::length_bytes + find_checksum(stored.json);
  std::vector<char> bytes((std::min)(end - 4 * words.begin, std::size_t{4} << 20));
  std::uint64_t sum = 0;
  for (std::size_t begin = 4 * words.begin; begin < end; begin += bytes.size()) {
    std::size_t const count = (std::min)(bytes.size(), end - begin);
    file.read(begin, bytes.data(), count);
    for (std::size_t i = (std::max)(begin, digits); i < (std::min)(begin + count, digits + no_checksum.size()); ++i)
      bytes[i - begin] = '0';
    sum += checksum_of(begin, bytes.data(), count);
  }
  return sum;
}

/// Another format is no damage if the file has no checksum, or the right one: a newer version of the library may have
/// written it. Every format counts the checksum alike. `sum` is called to count it.
/// Throws: Error if the format is not known, DamagedError if the checksum is another as well.
template <class Sum>
void require_known_format(std::filesystem::path const& path, std::string_view json, Texts const& metadata,
                          Sum const& sum) {
  auto const format = metadata.find("dchag.format");
  if (format == metadata.end() || format->second == "1") return;
  if (metadata.count(checksum_name) == 1) {
    auto const expected = checksum_in(path, json, metadata); // before it is counted: there may be no digits
    require_checksum(path, sum(), expected);
  }
  throw Error(concat(sentence_about(path), " has format ", shortened(format->second), ", expected 1"));
}

/// `read_header` of a file whose format is known; otherwise it reads every byte to tell a newer format from damage.
/// Throws: as `read_header` and `require_known_format`.
inline StoredFile read_known_header(std::filesystem::path const& path) {
  auto stored = read_header(path);
  require_known_format(path, stored.json, stored.header.metadata, [&] { return checksum_of_share(stored, 1, 0); });
  return stored;
}

/// A shard that its folder does not have is lost, which is damage; one that it has and that cannot be opened is not.
inline void read_index(std::filesystem::path const& index, std::vector<StoredFile>& files) {
  auto const text = read_text(index);
  auto const what = sentence_about(index);
  auto const json = parse_json(what, text);
  auto const objects = [&](char const* key, bool needed) {
    bool const there = json.is_object() && json.contains(key);
    require<DamagedError>(there ? json[key].is_object() : !needed, what, " has no ", key,
                          ", expected names and values");
    return there ? json[key] : Json::object();
  };
  auto const weight_map = objects("weight_map", true);
  auto const metadata = objects("metadata", false);
  Texts texts;
  for (auto const& [name, value] : metadata.items())
    texts[name] = value.is_string() ? value.template get<std::string>() : "";
  auto const sum = [&] {
    auto const blank = with_checksum(text, no_checksum);
    return checksum_of(0, blank.data(), blank.size());
  };
  require_known_format(index, text, texts, sum);
  if (auto const digits = checksum_in(index, text, texts); !digits.empty()) require_checksum(index, sum(), digits);
  std::map<std::string, std::set<std::string>> tensors; // by file
  for (auto const& [name, file] : weight_map.items()) {
    if (!file.is_string())
      throw DamagedError(concat(what, " has ", short_text(file), " as the file of '", shortened(name), "'"));
    tensors[file.template get<std::string>()].insert(name);
  }
  auto const sums = metadata.contains("dchag.shards") ? metadata["dchag.shards"] : Json::object();
  for (auto const& [file, digits] : sums.items()) tensors[file]; // also those without a tensor
  auto const listed = names_in(folder_of(index));
  std::set<std::string> const there(listed.begin(), listed.end());
  for (auto const& [name, names] : tensors) {
    auto const file = shortened(name);
    auto const plain = std::filesystem::path(name).filename().string();
    require<DamagedError>(!name.empty() && plain == name, what, " names the file '", file,
                          "', expected one in its folder");
    auto const path = index.parent_path() / name;
    require<DamagedError>(there.count(name) == 1, "File: cannot read '", path_text(path),
                          "': No such file or directory");
    files.push_back(read_known_header(path));
    auto const& stored = files.back();
    for (auto const& tensor : names)
      if (stored.header.find(tensor) == nullptr)
        throw DamagedError(
            concat(what, " says that '", shortened(tensor), "' is in '", file, "', which does not have it"));
    require<DamagedError>(stored.header.tensors.size() == names.size(), what, " says that '", file, "' has ",
                          names.size(), " tensors, but it has ", stored.header.tensors.size());
    bool const own = is_own(stored.header.metadata);
    bool const same =
        own == is_own(texts) &&
        (!own || (sums.contains(name) && sums[name] == checksum_in(stored.path, stored.json, stored.header.metadata)));
    require<DamagedError>(same, what, " and '", file, "' are not of one checkpoint");
  }
}

/// Which array a tensor of a file is, or is a part of.
inline std::pair<std::string, Piece> piece_in(StoredFile const& file, StoredTensor const& tensor) {
  auto const part = file.header.metadata.find(part_prefix + tensor.name);
  if (part == file.header.metadata.end())
    return {tensor.name, Piece(ParameterSpec{.name = tensor.name, .shape = tensor.shape})};
  auto const what = concat(sentence_about(file.path), ": '", shortened(part->first), "'");
  auto const entry = parse_json(what, part->second);
  if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string())
    throw DamagedError(concat(what, " is ", short_text(entry), ", expected a name and a box"));
  auto piece = Piece::from_json(what, entry[1]);
  require<DamagedError>(piece.size() == tensor.size(), what, " has ", piece.size(), " values, expected ", tensor.size(),
                        " as its tensor");
  return {entry[0].get<std::string>(), std::move(piece)};
}

/// What the headers of files of a known format say together.
/// Throws: DamagedError.
inline StoredFiles assembled(std::vector<StoredFile> files) {
  StoredFiles result{std::move(files), {}, {}};
  for (std::size_t f = 0; f < result.files.size(); ++f) {
    auto const& [path, json, bytes, header] = result.files[f];
    checksum_in(path, json, header.metadata);
    for (auto const& tensor : header.tensors) {
      auto const [name, piece] = piece_in(result.files[f], tensor);
      auto& array = result.arrays[name];
      if (array.parts.empty()) array = {tensor.dtype, piece.whole(), {}};
      if (array.dtype != tensor.dtype)
        throw DamagedError(concat(sentence_about(path), ": '", shortened(name), "' is ", name_of(tensor.dtype),
                                  " here, but ", name_of(array.dtype), " in another file"));
      array.parts.push_back({f, tensor, piece});
    }
    if (f == 0)
      for (auto const& [name, text] : header.metadata)
        if (name.rfind(part_prefix, 0) != 0) result.metadata[name] = text;
  }
  for (auto& [name, array] : result.arrays) {
    if (array.parts.size() == 1 && array.parts[0].piece.is_whole()) continue;
    std::ranges::sort(array.parts, [](auto const& a, auto const& b) { return order_of(a.piece) < order_of(b.piece); });
    std::vector<Piece> pieces;
    for (auto const& part : array.parts) pieces.push_back(part.piece);
    require_tiling<DamagedError>(concat("load_checkpoint: '", shortened(name), "'"), pieces);
  }
  return result;
}

/// Reads the headers of a file or, if there is none, of the files that its index names.
/// Collective: rank 0 reads, and broadcasts them; two all-reduces of one int.
/// Throws, the same on every rank: SystemError if one cannot be read, DamagedError if it can, but is not whole; Error
/// if its format is not known and its checksum, of every byte, is right.
inline StoredFiles open_stored(comm::Communicator const& world, std::filesystem::path const& path) {
  auto const text = comm::collectively(world, [&]() -> std::string {
    if (world.rank() != 0) return "";
    return with_memory_for(path, [&] {
      std::vector<StoredFile> files;
      bool const named = path.extension() == ".json";
      auto const index = named ? path : index_of(path);
      bool const shards = named || (!is_there(path) && is_there(index));
      if (shards)
        read_index(index, files);
      else
        files.push_back(read_known_header(path));
      // A path may hold any bytes, JSON may not; the names in an index are JSON already.
      Json list = Json::array();
      for (auto const& file : files)
        list.push_back({shards ? file.path.filename().string() : std::string(), file.json, file.bytes});
      return json_text(list);
    });
  });
  auto const all = comm::broadcast_text(world, text, 0);
  return comm::collectively(world, [&] {
    return with_memory_for(path, [&] {
      std::vector<StoredFile> files;
      for (auto const& entry : Json::parse(all)) {
        auto const name = entry[0].get<std::string>();
        StoredFile file{name.empty() ? path : path.parent_path() / name, entry[1].get<std::string>(),
                        entry[2].get<std::size_t>()};
        file.header = parse_safetensors_header(file.path.string(), file.json, file.bytes);
        files.push_back(std::move(file));
      }
      return assembled(std::move(files));
    });
  });
}

/// Reads every byte, each rank an equal share, and compares the checksums of the files that have one.
/// Collective: one all-reduce of 8 bytes for each file, two of one int.
/// Throws, the same on every rank: SystemError if a file cannot be read, DamagedError if its checksum is another.
inline void verify_stored(comm::Communicator const& world, StoredFiles const& stored) {
  auto const ranks = static_cast<std::size_t>(world.size());
  auto sums = comm::collectively(world, [&] {
    std::vector<std::uint64_t> shares(stored.files.size());
    for (std::size_t f = 0; f < shares.size(); ++f)
      if (auto const& file = stored.files[f]; is_own(file.header.metadata))
        shares[f] = with_memory_for(
            file.path, [&] { return checksum_of_share(file, ranks, static_cast<std::size_t>(world.rank())); });
    return shares;
  });
  sums = comm::all_reduce(world, std::move(sums), comm::Reduce::sum);
  comm::collectively(world, [&] {
    for (std::size_t f = 0; f < sums.size(); ++f) {
      auto const& [path, json, bytes, header] = stored.files[f];
      auto const digits = checksum_in(path, json, header.metadata);
      if (!digits.empty()) require_checksum(path, sums[f], digits);
    }
  });
}

} // namespace dchag::detail
