// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/layers/parameter.hpp>
#include <dchag/train/detail/json.hpp>

#include <algorithm>

namespace dchag::detail {

/// A part of an array that is stored in one place: a run of a box of the whole, as `ParameterSpec` describes it. In the
/// whole, row-major, it lies in contiguous runs.
///
///     whole (3, 4), box (2, 2) from (1, 1), all of it:     . . . .      values 0 1 are 5 6 of the whole,
///                                                          . 0 1 .             2 3     9 10
///                                                          . 2 3 .
class Piece {
public:
  /// Values [local, local + size) of the piece are values [whole, whole + size) of the whole.
  struct Run {
    std::size_t local, whole, size;
  };

  explicit Piece(ParameterSpec const& spec) : m_spec(spec) {
    if (m_spec.whole.empty()) m_spec.whole = m_spec.shape;
    if (m_spec.begin.empty()) m_spec.begin.assign(m_spec.shape.size(), 0);
    m_spec.run = spec.held();
    for (std::size_t axis = m_spec.shape.size(); axis-- > 0;) {
      m_contiguous *= m_spec.shape[axis];
      if (m_spec.shape[axis] != m_spec.whole[axis]) break;
    }
  }

  std::vector<std::size_t> const& whole() const { return m_spec.whole; }
  std::vector<std::size_t> const& begin() const { return m_spec.begin; }
  std::vector<std::size_t> const& shape() const { return m_spec.shape; }
  Range run() const { return m_spec.run; }
  std::size_t size() const { return m_spec.run.size(); }
  std::size_t box_size() const { return m_spec.box_size(); }
  std::size_t whole_size() const { return m_spec.whole_size(); }
  bool is_whole() const { return size() == whole_size(); }
  bool is_box() const { return size() == box_size(); }

  /// The longest contiguous run that begins with value `local`.
  Run run_at(std::size_t local) const {
    std::size_t const in_box = m_spec.run.begin + local;
    std::size_t const rest = m_contiguous - in_box % m_contiguous;
    return {local, m_spec.whole_index(in_box), (std::min)(rest, size() - local)};
  }

  /// Ascending in the piece and in the whole.
  template <class F>
  void for_each_run(F const& f) const {
    for (std::size_t local = 0; local < size();) {
      auto const run = run_at(local);
      f(run);
      local += run.size;
    }
  }

  /// [whole, begin, shape, run]
  Json to_json() const { return Json::array({whole(), begin(), shape(), {run().begin, run().end}}); }

  /// Throws: DamagedError unless it is what `to_json` makes and its box lies in the whole.
  static Piece from_json(std::string const& what, Json const& json) {
    auto const bad = [&] {
      return DamagedError(concat(what, " is ", short_text(json), ", expected a box in an array"));
    };
    try {
      auto const lists = json.get<std::vector<std::vector<std::size_t>>>();
      if (lists.size() != 4 || lists[3].size() != 2) throw bad();
      ParameterSpec spec{.name = {}, .shape = lists[2], .whole = lists[0], .begin = lists[1]};
      bool fits = spec.whole.size() == spec.shape.size() && spec.begin.size() == spec.shape.size();
      std::size_t count = 1;
      for (std::size_t axis = 0; fits && axis < spec.shape.size(); ++axis)
        fits = spec.shape[axis] > 0 && spec.begin[axis] <= spec.whole[axis] &&
               spec.shape[axis] <= spec.whole[axis] - spec.begin[axis] &&
               !__builtin_mul_overflow(count, spec.whole[axis], &count);
      spec.run = {lists[3][0], lists[3][1]};
      if (!fits || spec.run.begin >= spec.run.end || spec.run.end > spec.box_size()) throw bad();
      return Piece(spec);
    } catch (Json::exception const&) {
      throw bad();
    }
  }

  /// Whether two boxes of the same whole have a value in common.
  static bool boxes_overlap(Piece const& a, Piece const& b) {
    for (std::size_t axis = 0; axis < a.shape().size(); ++axis)
      if (a.begin()[axis] + a.shape()[axis] <= b.begin()[axis] || b.begin()[axis] + b.shape()[axis] <= a.begin()[axis])
        return false;
    return true;
  }

  friend bool operator==(Piece const& a, Piece const& b) {
    return a.whole() == b.whole() && a.begin() == b.begin() && a.shape() == b.shape() && a.run() == b.run();
  }

private:
  ParameterSpec m_spec;         // with nothing left empty
  std::size_t m_contiguous = 1; // values of the box that are contiguous in the whole
};

} // namespace dchag::detail
