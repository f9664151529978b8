// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/range.hpp>
#include <dchag/parallel/sharding.hpp>
#include <dchag/plan/detail/bytes.hpp>

#include <algorithm>
#include <vector>

/// \file
/// What `parallel::DataParallel` and `AdamW` hold, from the sizes of parameters alone.
namespace dchag::plan::detail {

/// A parameter as a rank holds it, in the order in which a unit's parameters lie: see `parallel::detail::FlatUnit`.
struct Array {
  enum class Kind { partial, replicated, distributed };
  std::size_t numbers;
  Kind kind = Kind::replicated;
};
using Arrays = std::vector<Array>;

inline void append(Arrays& all, Arrays const& more) {
  all.insert(all.end(), more.begin(), more.end());
}

/// The parameters of a unit one behind the other, each at a multiple of 64 bytes, padded to a multiple of the shards.
struct FlatUnit {
  std::vector<Range> places;
  std::size_t size = 0;
  std::size_t shards;

  FlatUnit(Arrays arrays, std::size_t shard_ranks, Bytes bytes) : shards(shard_ranks) {
    std::ranges::stable_sort(arrays, {}, &Array::kind);
    for (auto const& array : arrays) {
      size = rounded(size, 64 / bytes.number);
      places.push_back({size, size + array.numbers});
      size += array.numbers;
    }
    size = rounded(size, shards);
  }

  std::size_t shard_size() const { return size / shards; }

  /// Numbers of parameters in a shard; the gaps have no moments.
  std::size_t parameters_of(std::size_t shard) const {
    std::size_t const begin = shard * shard_size(), end = begin + shard_size();
    std::size_t numbers = 0;
    for (auto const& place : places) numbers += std::clamp(place.end, begin, end) - std::clamp(place.begin, begin, end);
    return numbers;
  }

private:
  static std::size_t rounded(std::size_t n, std::size_t unit) { return (n + unit - 1) / unit * unit; }
};

/// Bytes held between steps, of the rank that holds most.
struct AtRest {
  std::size_t values = 0;  ///< and as many for gradients
  std::size_t moments = 0; ///< both
  std::size_t buffers = 0;
};

/// `units`: the parameters of each, the last those of no unit.
inline AtRest at_rest(std::vector<Arrays> const& units, parallel::Sharding sharding, std::size_t shards, Bytes bytes) {
  using parallel::Sharding;
  if (shards == 1) sharding = Sharding::none;
  std::size_t values = 0, largest = 0, largest_shard = 0;
  std::vector<std::size_t> parameters(sharding == Sharding::none ? 1 : shards); // of each shard
  for (std::size_t i = 0; i < units.size(); ++i) {
    FlatUnit const unit(units[i], parameters.size(), bytes);
    bool const in_shards = sharding == Sharding::full && i + 1 < units.size(); // those of no unit stay whole
    values += in_shards ? unit.shard_size() : unit.size;
    if (in_shards) largest = (std::max)(largest, unit.size);
    if (sharding != Sharding::none) largest_shard = (std::max)(largest_shard, unit.shard_size());
    for (std::size_t shard = 0; shard < parameters.size(); ++shard) parameters[shard] += unit.parameters_of(shard);
  }
  std::size_t const value_buffers = std::min<std::size_t>(units.size() - 1, 2);
  return {bytes.of(values), 2 * bytes.of(*std::ranges::max_element(parameters)),
          bytes.of((value_buffers + 2) * largest + 2 * largest_shard)};
}

} // namespace dchag::plan::detail
