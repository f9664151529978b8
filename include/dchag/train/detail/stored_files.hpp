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

inline StoredFile read_header(std::filesystem::path const& path) {
  StoredFile stored{path, {}, 0};
  auto const file = File::read(path);
  stored.bytes = file.size();
  std::string first(std::min(stored.bytes, SafetensorsHeader::length_bytes), '\0');
  file.read(0, first.data(), first.size());
  stored.json.resize(safetensors_header_length(path.string(), first, stored.bytes));
  file.read(SafetensorsHeader::length_bytes, stored.json.data(), stored.json.size());
  stored.header = parse_safetensors_header(path.string(), stored.json, stored.bytes);
  return stored;
}

/// Whether this library wrote it, and it must therefore have a checksum.
inline bool is_own(Texts const& metadata) {
  return std::ranges::any_of(metadata, [](auto const& entry) { return entry.first.rfind("dchag.", 0) == 0; });
}

/// The digits in a text; "" in a file of another origin.
inline std::string checksum_in(std::filesystem::path const& path, std::string_view json, Texts const& metadata) {
  if (!is_own(metadata)) return "";
  auto const at = find_checksum(json);
  require<Error>(at != json.npos && metadata.count(checksum_name) == 1, "load_checkpoint: '", path.string(),
                 "' has no checksum, expected 16 digits");
  return std::string(json.substr(at, no_checksum.size()));
}

inline void require_checksum(std::filesystem::path const& path, std::uint64_t sum, std::string const& expected) {
  require<Error>(checksum_digits(sum) == expected, "load_checkpoint: '", path.string(),
                 "' is damaged: its checksum is ", checksum_digits(sum), ", expected ", expected);
}

inline void read_index(std::filesystem::path const& index, std::vector<StoredFile>& files) {
  auto const text = read_text(index);
  auto const what = concat("load_checkpoint: '", index.string(), "'");
  auto const json = parse_json(what, text);
  auto const objects = [&](char const* key, bool needed) {
    bool const there = json.is_object() && json.contains(key);
    require<Error>(there ? json[key].is_object() : !needed, what, " has no ", key, ", expected names and values");
    return there ? json[key] : Json::object();
  };
  auto const weight_map = objects("weight_map", true);
  auto const metadata = objects("metadata", false);
  Texts texts;
  for (auto const& [name, value] : metadata.items())
    texts[name] = value.is_string() ? value.template get<std::string>() : "";
  if (auto const digits = checksum_in(index, text, texts); !digits.empty()) {
    auto const blank = with_checksum(text, no_checksum);
    require_checksum(index, checksum_of(0, blank.data(), blank.size()), digits);
  }
  std::map<std::string, std::set<std::string>> tensors; // by file
  for (auto const& [name, file] : weight_map.items()) {
    require<Error>(file.is_string(), what, " has ", short_text(file), " as the file of '", name, "'");
    tensors[file.template get<std::string>()].insert(name);
  }
  if (metadata.contains("dchag.shards"))
    for (auto const& [file, digits] : metadata["dchag.shards"].items()) tensors[file]; // also those without a tensor
  for (auto const& [name, names] : tensors) {
    auto const plain = std::filesystem::path(name).filename().string();
    require<Error>(!name.empty() && plain == name, what, " names the file '", name, "', expected one in its folder");
    files.push_back(read_header(index.parent_path() / name));
    auto const& stored = files.back();
    for (auto const& tensor : names)
      require<Error>(stored.header.find(tensor) != nullptr, what, " says that '", tensor, "' is in '", name,
                     "', which does not have it");
    require<Error>(stored.header.tensors.size() == names.size(), what, " says that '", name, "' has ", names.size(),
                   " tensors, but it has ", stored.header.tensors.size());
    bool const own = is_own(stored.header.metadata);
    require<Error>(own == is_own(texts), what, " and '", name, "' are not of one checkpoint");
    if (own) {
      auto const& sums = metadata.contains("dchag.shards") ? metadata["dchag.shards"] : Json::object();
      require<Error>(sums.contains(name) && sums[name] == checksum_in(stored.path, stored.json, stored.header.metadata),
                     what, " and '", name, "' are not of one checkpoint");
    }
  }
}

/// What the files' headers say together.
/// Throws: Error.
inline StoredFiles assembled(std::vector<StoredFile> files) {
  StoredFiles result{std::move(files), {}, {}};
  for (std::size_t f = 0; f < result.files.size(); ++f) {
    auto const& [path, json, bytes, header] = result.files[f];
    checksum_in(path, json, header.metadata);
    if (auto const format = header.metadata.find("dchag.format"); format != header.metadata.end())
      require<Error>(format->second == "1", "load_checkpoint: '", path.string(), "' has format ", format->second,
                     ", expected 1");
    for (auto const& tensor : header.tensors) {
      std::string name = tensor.name;
      ParameterSpec const spec{.name = name, .shape = tensor.shape};
      std::optional<Piece> piece;
      if (auto const part = header.metadata.find(part_prefix + name); part != header.metadata.end()) {
        auto const what = concat("load_checkpoint: '", path.string(), "': '", part->first, "'");
        auto const entry = parse_json(what, part->second);
        require<Error>(entry.is_array() && entry.size() == 2 && entry[0].is_string(), what, " is ", short_text(entry),
                       ", expected a name and a box");
        piece = Piece::from_json(what, entry[1]);
        require<Error>(piece->size() == tensor.size(), what, " has ", piece->size(), " values, expected ",
                       tensor.size(), " as its tensor");
        name = entry[0].get<std::string>();
      } else {
        piece.emplace(spec);
      }
      auto& array = result.arrays[name];
      if (array.parts.empty()) array = {tensor.dtype, piece->whole(), {}};
      require<Error>(array.dtype == tensor.dtype, "load_checkpoint: '", path.string(), "': '", name, "' is ",
                     name_of(tensor.dtype), " here, but ", name_of(array.dtype), " in another file");
      array.parts.push_back({f, tensor, *piece});
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
    require_tiling(concat("load_checkpoint: '", name, "'"), pieces);
  }
  return result;
}

/// Reads the headers of a file or, if there is none, of the files that its index names.
/// Collective: rank 0 reads, and broadcasts them; two all-reduces of one int.
/// Throws: Error, the same on every rank.
inline StoredFiles open_stored(comm::Communicator const& world, std::filesystem::path const& path) {
  auto const text = comm::collectively(world, [&]() -> std::string {
    if (world.rank() != 0) return "";
    std::vector<StoredFile> files;
    bool const named = path.extension() == ".json";
    auto const index = named ? path : index_of(path);
    if (named || (!std::filesystem::exists(path) && std::filesystem::exists(index)))
      read_index(index, files);
    else
      files.push_back(read_header(path));
    Json list = Json::array();
    for (auto const& file : files) list.push_back({file.path.string(), file.json, file.bytes});
    return json_text(list);
  });
  auto const all = comm::broadcast_text(world, text, 0);
  return comm::collectively(world, [&] {
    std::vector<StoredFile> files;
    for (auto const& entry : Json::parse(all)) {
      StoredFile file{entry[0].get<std::string>(), entry[1].get<std::string>(), entry[2].get<std::size_t>()};
      file.header = parse_safetensors_header(file.path.string(), file.json, file.bytes);
      files.push_back(std::move(file));
    }
    return assembled(std::move(files));
  });
}

/// What a share of the words of a file adds to its checksum.
inline std::uint64_t checksum_of_share(StoredFile const& stored, std::size_t shares, std::size_t share) {
  auto const words = even_part((stored.bytes + 3) / 4, shares, share);
  if (words.size() == 0) return 0;
  auto const file = File::read(stored.path);
  std::size_t const end = std::min(4 * words.end, stored.bytes);
  std::size_t const digits = SafetensorsHeader::length_bytes + find_checksum(stored.json);
  std::vector<char> bytes(std::min(end - 4 * words.begin, std::size_t{4} << 20));
  std::uint64_t sum = 0;
  for (std::size_t begin = 4 * words.begin; begin < end; begin += bytes.size()) {
    std::size_t const count = std::min(bytes.size(), end - begin);
    file.read(begin, bytes.data(), count);
    for (std::size_t i = std::max(begin, digits); i < std::min(begin + count, digits + no_checksum.size()); ++i)
      bytes[i - begin] = '0';
    sum += checksum_of(begin, bytes.data(), count);
  }
  return sum;
}

/// Reads every byte, each rank an equal share, and compares the checksums of the files that have one.
/// Collective: one all-reduce of 8 bytes for each file, two of one int. Throws: Error, the same on every rank.
inline void verify_stored(comm::Communicator const& world, StoredFiles const& stored) {
  auto sums = comm::collectively(world, [&] {
    std::vector<std::uint64_t> shares;
    for (auto const& file : stored.files)
      shares.push_back(is_own(file.header.metadata) ? checksum_of_share(file, static_cast<std::size_t>(world.size()),
                                                                        static_cast<std::size_t>(world.rank()))
                                                    : 0);
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
