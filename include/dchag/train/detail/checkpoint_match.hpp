// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/train/detail/channel_match.hpp>
#include <dchag/train/detail/stored_files.hpp>

namespace dchag::detail {

/// The kernels (M, 1, p, p) of a convolution, of one input each, with flat patches: (M, p p). Any other shape as it is.
inline std::vector<std::size_t> with_flat_patches(std::vector<std::size_t> const& shape) {
  bool const kernels = shape.size() == 4 && shape[1] == 1 && shape[2] == shape[3];
  return kernels ? std::vector{shape[0], shape[2] * shape[3]} : shape;
}

/// Whether a stored shape is the array's, or the array's with leading axes merged: (6, 2) for (3, 2, 2). The kernels of
/// a convolution count as flat: (C D, 1, p, p) for (C, D, s), s = p p.
inline bool is_same_shape(std::vector<std::size_t> const& as_stored, std::vector<std::size_t> const& whole) {
  if (as_stored == whole) return true;
  auto const stored = with_flat_patches(as_stored);
  if (stored.empty() || stored.size() > whole.size()) return stored == whole;
  std::size_t const merged = whole.size() - stored.size();
  std::size_t leading = 1;
  for (std::size_t axis = 0; axis <= merged; ++axis) leading *= whole[axis];
  return stored[0] == leading && std::equal(stored.begin() + 1, stored.end(), whole.end() - (std::ssize(stored) - 1));
}

/// The products of the last 0, 1, 2, ... extents, as far as they divide `count` values into rows.
inline std::set<std::size_t> row_sizes(std::vector<std::size_t> const& shape, std::size_t count) {
  std::set<std::size_t> sizes{1};
  std::size_t product = 1;
  for (std::size_t axis = shape.size(); axis-- > 0 && product * shape[axis] < count;)
    sizes.insert(product *= shape[axis]);
  return sizes;
}

/// Whether `count` values in a row of both are cut into rows alike, but that one may have adjacent axes merged which
/// the other has not: (D, 1, p, p) for D s values of (C, D, s), s = p p. A transposed matrix is not.
inline bool is_reshaped(std::vector<std::size_t> const& stored, std::vector<std::size_t> const& whole,
                        std::size_t count) {
  auto const b = row_sizes(whole, count);
  return std::ranges::any_of(std::vector{stored, with_flat_patches(stored)}, [&](auto const& shape) {
    auto const a = row_sizes(shape, count);
    return std::ranges::includes(a, b) || std::ranges::includes(b, a);
  });
}

/// Where the values of one of this rank's arrays are.
struct Wanted {
  struct Part {
    StoredArray const* array; ///< none: as many values stay as they are
    Range values;             ///< of the stored array
  };
  CheckpointArray const* array;
  std::vector<Part> parts; ///< one after the other they are the whole array
};

/// What fits, and what does not.
struct Match {
  std::vector<Wanted> wanted = {};
  std::set<std::string> used = {}, missing = {}, misshapen = {};
};

/// Moments in a file are of use only to who has an optimizer.
inline std::string const optimizer_prefix = "optimizer.";

/// Calls f(part) with what the values [range.begin, range.end) of parts that follow each other are.
template <class F>
void for_each_part_of(std::vector<Wanted::Part> const& parts, Range range, F const& f) {
  std::size_t begin = 0; // of the part
  for (auto const& part : parts) {
    std::size_t const first = (std::max)(range.begin, begin);
    std::size_t const last = (std::min)(range.end, begin + part.values.size());
    if (first < last)
      f(Wanted::Part{part.array, {part.values.begin + first - begin, part.values.begin + last - begin}});
    begin += part.values.size();
  }
}

/// The parts in the order of the model's channels: `own` of the model are `there` of the file, whose array has
/// `values` values.
inline std::vector<Wanted::Part> by_channel(std::vector<Wanted::Part> const& parts, std::size_t values, Range own,
                                            Range there, ChannelMatch const& channels) {
  std::vector<Wanted::Part> result;
  std::size_t const each = values / there.size(); // values of a channel
  for (std::size_t c = own.begin; c < own.end; ++c) {
    auto const stored = channels.stored_channel(c);
    if (!stored) {
      result.push_back({nullptr, {0, each}});
      continue;
    }
    std::size_t const begin = (*stored - there.begin) * each;
    for_each_part_of(parts, {begin, begin + each}, [&](Wanted::Part const& part) {
      if (!result.empty() && result.back().array == part.array && result.back().values.end == part.values.begin)
        result.back().values.end = part.values.end;
      else
        result.push_back(part);
    });
  }
  return result;
}

/// Compares the arrays of this rank with those in the files.
inline Match match_of(std::vector<CheckpointArray> const& arrays, StoredFiles const& stored, Sources const& sources,
                      ChannelMatch const& channels) {
  Match match;
  for (auto const& array : arrays) {
    ParameterSpec spec{.name = array.name, .shape = array.piece.whole()}; // of the array that the file should have
    bool const of_channels = array.channels.size() > 0 && !channels.is_trivial();
    Range const in_file = of_channels ? channels.stored_channels(array.name, array.channels) : Range();
    if (of_channels) spec.shape[0] = spec.shape[0] / array.channels.size() * in_file.size();
    auto const parts = sources ? sources(spec) : std::vector<StoredPart>{{array.name}};
    if (parts.empty()) match.missing.insert(array.name);
    Wanted wanted{&array, {}};
    std::size_t count = 0;
    bool fits = !parts.empty();
    for (auto const& part : parts) {
      auto const found = stored.arrays.find(part.tensor);
      if (found == stored.arrays.end()) {
        match.missing.insert(part.tensor == array.name ? array.name : concat(array.name, " (as ", part.tensor, ")"));
        fits = false;
        continue;
      }
      match.used.insert(part.tensor);
      auto const& there = found->second;
      std::size_t const all = there.parts[0].piece.whole_size();
      Range const values = part.values.size() > 0 ? part.values : Range{0, all};
      bool const same = sources ? values.begin <= values.end && values.end <= all &&
                                      is_reshaped(there.whole, spec.shape, values.size())
                                : is_same_shape(there.whole, spec.shape);
      auto const text =
          concat(part.tensor, part.values.size() > 0 ? concat(" [", values.begin, ", ", values.end, ")") : "", " ",
                 shape_text(there.whole));
      if (!same)
        match.misshapen.insert(
            concat(text, ", expected ", part.tensor == array.name ? "" : array.name + " ", shape_text(spec.shape)));
      else if (!is_readable(there.dtype))
        match.misshapen.insert(concat(text, " of ", name_of(there.dtype), ", expected F16, BF16, F32 or F64"));
      fits = fits && same;
      count += values.size();
      wanted.parts.push_back({&there, values});
    }
    if (fits && count != spec.whole_size())
      match.misshapen.insert(concat(parts.front().tensor, parts.size() > 1 ? " and others" : "", " with ", count,
                                    " values, expected ", array.name, " with ", spec.whole_size()));
    else if (fits && of_channels)
      wanted.parts = by_channel(wanted.parts, count, array.channels, in_file, channels);
    if (fits) match.wanted.push_back(std::move(wanted));
  }
  return match;
}

/// Throws the same Error on every rank, which says all that is missing, unexpected or of another shape, unless the
/// options allow it.
/// Collective: every rank's names are gathered at rank 0; one all-reduce of one int.
inline void require_match(comm::Communicator const& world, std::filesystem::path const& path, Match const& own,
                          StoredFiles const& stored, LoadOptions const& options, bool with_optimizer) {
  auto const all = comm::gather_texts(world, json_text(Json::array({own.used, own.missing, own.misshapen})), 0);
  comm::collectively(world, [&] {
    if (world.rank() != 0) return;
    Match match;
    for (auto const& text : std::set<std::string>(all.begin(), all.end())) {
      auto const lists = Json::parse(text).get<std::vector<std::set<std::string>>>();
      match.used.insert(lists[0].begin(), lists[0].end());
      match.missing.insert(lists[1].begin(), lists[1].end());
      match.misshapen.insert(lists[2].begin(), lists[2].end());
    }
    std::set<std::string> unexpected;
    for (auto const& [name, array] : stored.arrays)
      if (match.used.count(name) == 0 && (with_optimizer || name.rfind(optimizer_prefix, 0) != 0))
        unexpected.insert(name);
    std::vector<std::string> complaints;
    if (!match.missing.empty() && !options.allow_missing) complaints.push_back("missing " + names_text(match.missing));
    if (!unexpected.empty() && !options.allow_unexpected) complaints.push_back("unexpected " + names_text(unexpected));
    if (!match.misshapen.empty()) complaints.push_back("of another shape " + names_text(match.misshapen));
    std::string text;
    for (auto const& complaint : complaints) text += (text.empty() ? "" : " | ") + complaint;
    require<ShapeError>(complaints.empty(), sentence_about(path), " does not fit the model: ", text);
  });
}

} // namespace dchag::detail
