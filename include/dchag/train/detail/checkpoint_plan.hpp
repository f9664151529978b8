// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/comm/texts.hpp>
#include <dchag/core/check.hpp>
#include <dchag/train/detail/checkpoint_array.hpp>

#include <map>
#include <tuple>

namespace dchag::detail {

/// An array of which the ranks hold pieces; each is written by the lowest rank that holds it.
struct PlannedArray {
  struct Part {
    Piece piece;
    int rank;
  };
  std::string name;
  DType dtype;
  std::vector<Part> parts; // ascending by box and run
};

/// The arrays of all ranks, the larger numbers first, then by name: an order that does not know how many ranks there
/// are.
using CheckpointPlan = std::vector<PlannedArray>;

inline auto order_of(Piece const& piece) {
  return std::tuple(piece.begin(), piece.shape(), piece.run().begin, piece.run().end);
}

/// Throws an `ErrorType` unless these pieces, ascending, are the whole array, each value once.
template <class ErrorType = Error>
void require_tiling(std::string const& what, std::vector<Piece> const& pieces) {
  auto const fail = [&](auto const&... parts) { throw ErrorType(concat(what, parts...)); };
  auto const text = [](std::vector<std::size_t> const& extents) { return shortened(shape_text(extents)); };
  auto const text_of = [&](Piece const& box) { return concat(text(box.shape()), " from ", text(box.begin())); };
  std::vector<Piece const*> boxes;
  std::size_t covered = 0;
  for (std::size_t i = 0; i < pieces.size();) {
    auto const& box = pieces[i];
    if (box.whole() != pieces[0].whole())
      fail(" is part of an array ", text(box.whole()), " here and of one ", text(pieces[0].whole()), " there");
    std::size_t next = 0;
    for (; i < pieces.size() && pieces[i].begin() == box.begin() && pieces[i].shape() == box.shape(); ++i) {
      auto const run = pieces[i].run();
      if (run.begin != next)
        fail(": of its part ", text_of(box), ", the values ", (std::min)(next, run.begin), " to ",
             (std::max)(next, run.begin), " are held ", run.begin < next ? "in two ways" : "by no rank");
      next = run.end;
    }
    if (next != box.box_size())
      fail(": of its part ", text_of(box), ", the values ", next, " to ", box.box_size(), " are held by no rank");
    for (auto const* other : boxes)
      if (Piece::boxes_overlap(box, *other)) fail(": its parts ", text_of(*other), " and ", text_of(box), " overlap");
    boxes.push_back(&box);
    covered += box.box_size();
  }
  if (pieces.empty() || covered != pieces[0].whole_size())
    fail(": ", covered, " of its values are held by a rank, expected all of ", text(pieces.at(0).whole()));
}

/// What one rank holds, as text.
inline std::string description_of(std::vector<CheckpointArray> const& arrays) {
  Json list = Json::array();
  std::set<std::string_view> names;
  for (auto const& array : arrays) {
    require<Error>(names.insert(array.name).second, "Checkpoint: two arrays are called '", shortened(array.name), "'");
    list.push_back({array.name, name_of(array.dtype), array.piece.to_json()});
  }
  return json_text(list);
}

/// What all ranks hold together, from their descriptions.
inline CheckpointPlan plan_of(std::vector<std::string> const& descriptions) {
  struct Order {
    bool operator()(Piece const& a, Piece const& b) const { return order_of(a) < order_of(b); }
  };
  struct Found {
    DType dtype;
    std::map<Piece, int, Order> parts; // the lowest rank of each
  };
  std::map<std::string, Found> arrays;
  std::set<std::string_view> known; // ranks that hold copies describe the same
  for (std::size_t rank = 0; rank < descriptions.size(); ++rank) {
    if (!known.insert(descriptions[rank]).second) continue;
    for (auto const& entry : Json::parse(descriptions[rank])) {
      auto const name = entry[0].get<std::string>();
      auto const dtype = *dtype_named(entry[1].get<std::string>());
      auto& found = arrays.try_emplace(name, Found{dtype, {}}).first->second;
      require<Error>(found.dtype == dtype, "Checkpoint: '", shortened(name), "' is ", name_of(found.dtype),
                     " on one rank and ", name_of(dtype), " on rank ", rank);
      found.parts.try_emplace(Piece::from_json(name, entry[2]), static_cast<int>(rank));
    }
  }
  CheckpointPlan plan;
  for (auto const& [name, found] : arrays) {
    PlannedArray array{name, found.dtype, {}};
    std::vector<Piece> pieces;
    for (auto const& [piece, rank] : found.parts) {
      array.parts.push_back({piece, rank});
      pieces.push_back(piece);
    }
    require_tiling(concat("Checkpoint: '", shortened(name), "'"), pieces);
    plan.push_back(std::move(array));
  }
  std::ranges::stable_sort(plan, [](auto const& a, auto const& b) { return size_of(a.dtype) > size_of(b.dtype); });
  return plan;
}

inline std::string text_of(CheckpointPlan const& plan) {
  Json list = Json::array();
  for (auto const& array : plan) {
    Json parts = Json::array();
    for (auto const& part : array.parts) parts.push_back({part.piece.to_json(), part.rank});
    list.push_back({array.name, name_of(array.dtype), std::move(parts)});
  }
  return json_text(list);
}

inline CheckpointPlan plan_from_text(std::string const& text) {
  CheckpointPlan plan;
  for (auto const& entry : Json::parse(text)) {
    PlannedArray array{entry[0].get<std::string>(), *dtype_named(entry[1].get<std::string>()), {}};
    for (auto const& part : entry[2])
      array.parts.push_back({Piece::from_json(array.name, part[0]), part[1].get<int>()});
    plan.push_back(std::move(array));
  }
  return plan;
}

/// The plan, the same on every rank.
/// Collective: the descriptions are gathered at rank 0, which broadcasts the plan; two all-reduces of one int.
/// Throws: Error, the same on every rank, if pieces overlap without being equal, or some value is held by no rank.
inline CheckpointPlan agree_on_plan(comm::Communicator const& world, std::vector<CheckpointArray> const& arrays) {
  auto const own = comm::collectively(world, [&] { return description_of(arrays); });
  auto const all = comm::gather_texts(world, own, 0);
  auto const text =
      comm::collectively(world, [&] { return world.rank() == 0 ? text_of(plan_of(all)) : std::string(); });
  return plan_from_text(comm::broadcast_text(world, text, 0));
}

} // namespace dchag::detail
