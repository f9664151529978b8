// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/check.hpp>
#include <dchag/train/detail/json.hpp>
#include <dchag/train/dtype.hpp>

#include <algorithm>
#include <cstdint>
#include <map>

/// \file
/// The header of a safetensors file: 8 bytes, the length n of the header; n bytes of JSON; the tensors' bytes.
///
///     {"__metadata__": {"step": "42"}, "toy.weight": {"dtype": "F32", "shape": [3, 4], "data_offsets": [0, 48]}, ...}
///
/// Offsets count from the end of the header. Numbers are little-endian, tensors row-major, without holes.
/// Source: huggingface/safetensors, README.md; as its own writer, larger numbers come first.
namespace dchag {

/// A tensor in a file.
struct StoredTensor {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::size_t> shape = {};
  std::size_t begin = 0; ///< of its bytes, from the beginning of the file
  std::size_t end = 0;

  std::size_t size() const { return (end - begin) / size_of(dtype); }
};

/// Texts by name, as a file's `__metadata__`.
using Texts = std::map<std::string, std::string>;

namespace detail {
/// Whether a name in `__metadata__` is this library's own.
inline bool is_reserved(std::string_view name) {
  return name.starts_with("dchag.");
}
} // namespace detail

/// What is in a file.
struct SafetensorsHeader {
  static constexpr std::size_t length_bytes = 8;            ///< before the JSON
  static constexpr std::size_t longest = 100 * 1000 * 1000; ///< JSON, in bytes, as the reference implementation allows
  static constexpr std::size_t alignment = 64;              ///< of the data that this library writes

  std::vector<StoredTensor> tensors; ///< ascending in the file
  Texts metadata;
  std::size_t file_bytes = 0;

  StoredTensor const* find(std::string const& name) const {
    auto const found = std::ranges::find(tensors, name, &StoredTensor::name);
    return found == tensors.end() ? nullptr : &*found;
  }
};

namespace detail {
/// Which part of a file's header says what a sentence complains about.
struct HeaderPlace {
  std::string const& file;

  template <class... Parts>
  [[noreturn]] void fail(Parts const&... parts) const {
    throw DamagedError(concat("safetensors: '", shortened(file, 300), "': ", parts...));
  }
};

inline std::vector<std::size_t> sizes_of(HeaderPlace const& place, std::string const& name, char const* key,
                                         Json const& list) {
  if (!list.is_array()) place.fail("'", shortened(name), "' has ", key, " ", short_text(list), ", expected a list");
  std::vector<std::size_t> sizes;
  for (auto const& n : list) {
    if (!n.is_number_unsigned())
      place.fail("'", shortened(name), "' has ", short_text(n), " in its ", key,
                 ", expected whole numbers from 0 to 2^64 - 1");
    sizes.push_back(n.get<std::size_t>());
  }
  return sizes;
}

inline StoredTensor stored_tensor(HeaderPlace const& place, std::string const& name, Json const& entry,
                                  std::size_t data_begin, std::size_t file_bytes) {
  auto const fail = [&](auto const&... parts) { place.fail("'", shortened(name), "' ", parts...); };
  auto const shape = [](StoredTensor const& tensor) { return shortened(shape_text(tensor.shape)); };
  if (!entry.is_object() || entry.size() != 3 || !entry.contains("dtype") || !entry.contains("shape") ||
      !entry.contains("data_offsets"))
    fail("is ", short_text(entry), ", expected dtype, shape and data_offsets");
  auto const& dtype = entry["dtype"];
  auto const known = dtype.is_string() ? dtype_named(dtype.get_ref<std::string const&>()) : std::nullopt;
  if (!known) fail("has dtype ", short_text(dtype), ", expected F32, F64, F16, BF16, ...");
  StoredTensor tensor{name, *known, sizes_of(place, name, "shape", entry["shape"])};
  auto const offsets = sizes_of(place, name, "data_offsets", entry["data_offsets"]);
  std::size_t const available = file_bytes - data_begin;
  if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > available)
    fail("has data_offsets ", short_text(entry["data_offsets"]), ", expected two ascending offsets within the ",
         available, " bytes of data");
  std::size_t bytes = size_of(*known);
  for (auto n : tensor.shape) {
    std::size_t product = 0;
    if (__builtin_mul_overflow(bytes, n, &product))
      fail("has shape ", shape(tensor), ", which is more than 2^64 bytes");
    bytes = product;
  }
  if (bytes != offsets[1] - offsets[0])
    fail("has ", offsets[1] - offsets[0], " bytes, expected ", bytes, " for ", name_of(*known), " ", shape(tensor));
  tensor.begin = data_begin + offsets[0];
  tensor.end = data_begin + offsets[1];
  return tensor;
}
} // namespace detail

/// The length that the first bytes of a file say its header has.
/// Throws: DamagedError unless such a header fits into the file. `first` holds the first 8 bytes, fewer if the file
/// does.
inline std::size_t safetensors_header_length(std::string const& file, std::string_view first, std::size_t file_bytes) {
  detail::HeaderPlace const place{file};
  std::uint64_t length = 0;
  if (first.size() < sizeof(length) || file_bytes < sizeof(length))
    place.fail("the file has ", file_bytes, " bytes, expected at least 8");
  std::memcpy(&length, first.data(), sizeof(length));
  if (length > file_bytes - sizeof(length))
    place.fail("the header has ", length, " bytes, but only ", file_bytes - sizeof(length), " follow in the file");
  if (length > SafetensorsHeader::longest)
    place.fail("the header has ", length, " bytes, expected at most ", SafetensorsHeader::longest);
  return length;
}

/// Reads the JSON of a header. Nothing in the file is trusted.
/// Throws: DamagedError, which names the file and the numbers, unless it is JSON in UTF-8 without a name twice,
/// metadata are texts, and every tensor has a known dtype and as many bytes as its shape says, one after the other, up
/// to the file's end.
inline SafetensorsHeader parse_safetensors_header(std::string const& file, std::string_view json,
                                                  std::size_t file_bytes) {
  detail::HeaderPlace const place{file};
  if (json.empty() || json.front() != '{') place.fail("the header does not begin with {");
  auto const header = detail::parse_json(concat("safetensors: '", shortened(file, 300), "': the header"), json);
  SafetensorsHeader result;
  result.file_bytes = file_bytes;
  std::size_t const data_begin = SafetensorsHeader::length_bytes + json.size();
  for (auto const& [name, entry] : header.items()) {
    if (name == "__metadata__") {
      if (!entry.is_object()) place.fail("__metadata__ is ", detail::short_text(entry), ", expected names and texts");
      for (auto const& [key, value] : entry.items()) {
        if (!value.is_string())
          place.fail("'", shortened(key), "' in __metadata__ is ", detail::short_text(value), ", expected a text");
        result.metadata[key] = value.template get<std::string>();
      }
    } else {
      result.tensors.push_back(detail::stored_tensor(place, name, entry, data_begin, file_bytes));
    }
  }
  std::ranges::stable_sort(result.tensors, [](auto const& a, auto const& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  std::size_t end = data_begin;
  for (auto const& tensor : result.tensors) {
    if (tensor.begin != end)
      place.fail("'", shortened(tensor.name), "' begins at byte ", tensor.begin - data_begin, " of the data, expected ",
                 end - data_begin, ", where the tensor before it ends");
    end = tensor.end;
  }
  if (end != file_bytes) place.fail("the tensors end at byte ", end, ", but the file has ", file_bytes, " bytes");
  return result;
}

/// Gives each tensor its place in the file, in this order, and writes the header's 8 bytes and JSON, padded with spaces
/// so that the data begins at a multiple of 64 bytes.
/// Throws: Error if a name or text is not UTF-8, a name stands there twice, or the header is longer than may be read.
inline std::string make_safetensors_header(SafetensorsHeader& header) {
  std::string json = "{\"__metadata__\":" + detail::json_text(detail::Json(header.metadata));
  std::map<std::string_view, int> names;
  std::size_t offset = 0;
  for (auto& tensor : header.tensors) {
    require<Error>(++names[tensor.name] == 1 && tensor.name != "__metadata__", "safetensors: the name '",
                   shortened(tensor.name), "' is taken");
    std::size_t bytes = size_of(tensor.dtype);
    for (auto n : tensor.shape) bytes *= n;
    json += concat(',', detail::json_text(detail::Json(tensor.name)), ":{\"dtype\":\"", name_of(tensor.dtype),
                   "\",\"shape\":", detail::json_text(detail::Json(tensor.shape)), ",\"data_offsets\":[", offset, ",",
                   offset + bytes, "]}");
    tensor.begin = offset;
    tensor.end = offset += bytes;
  }
  json += "}";
  constexpr std::size_t unit = SafetensorsHeader::alignment;
  std::size_t const data_begin = (SafetensorsHeader::length_bytes + json.size() + unit - 1) / unit * unit;
  json.resize(data_begin - SafetensorsHeader::length_bytes, ' ');
  require<Error>(json.size() <= SafetensorsHeader::longest, "safetensors: the header of ", header.tensors.size(),
                 " tensors and ", header.metadata.size(), " texts has ", json.size(), " bytes, expected at most ",
                 SafetensorsHeader::longest);
  for (auto& tensor : header.tensors) {
    tensor.begin += data_begin;
    tensor.end += data_begin;
  }
  header.file_bytes = data_begin + offset;
  std::uint64_t const length = json.size();
  std::string text(sizeof(length), '\0');
  std::memcpy(text.data(), &length, sizeof(length));
  return text + json;
}

} // namespace dchag
