// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/number.hpp>
#include <dchag/core/workspace.hpp>
#include <dchag/ops/dropout.hpp>
#include <dchag/ops/rows.hpp>

#include <string>

namespace dchag::layers {

/// Which draw of all its dropouts a model makes; one that is not in training drops nothing.
struct DropoutDraw {
  bool training = false;
  std::uint32_t step = 0;       ///< another draw for every optimizer step
  std::size_t first_sample = 0; ///< which of the whole batch's samples is the first here, where ranks share them
};

/// A residual connection whose branch is dropped now and then: y = x + dropout(branch).
///
/// Shapes: x, branch, y (N, D); `first_row` is the row of the whole batch that is the first here. What is dropped
/// depends on (seed, name, step, row, feature) alone and is drawn again in the backward pass. At rate 0 this is an
/// addition.
class Residual {
public:
  /// Throws: ShapeError unless 0 <= rate < 1.
  Residual(std::string const& name, double rate, std::uint64_t seed) : m_rate(rate), m_key(Random(seed, name).key()) {
    require(math::is_finite(rate) && 0 <= rate && rate < 1, "Residual: '", name, "' drops ", rate,
            ", expected at least 0 and less than 1");
  }

  template <KokkosExecutionSpace ExecutionSpace, class X, class Branch, class Y>
  void forward(ExecutionSpace const& exec, DropoutDraw const& draw, std::size_t first_row, X const& x,
               Branch const& branch, Y const& y) const {
    if (drops(draw))
      ops::add_dropped(exec, mask(draw, first_row), x, branch, y);
    else
      ops::add(exec, x, branch, y);
  }

  /// The gradient of the branch: d_y itself where nothing is dropped, otherwise taken from the frame.
  template <KokkosExecutionSpace ExecutionSpace, class Frame, class DY>
  DY backward(ExecutionSpace const& exec, Frame& frame, DropoutDraw const& draw, std::size_t first_row,
              DY const& d_y) const {
    if (!drops(draw)) return d_y;
    auto const d_branch = frame.template take<typename DY::value_type, 2>(extents_of(d_y));
    ops::add_dropped_backward(exec, mask(draw, first_row), d_y, d_branch);
    return d_branch;
  }

private:
  bool drops(DropoutDraw const& draw) const { return draw.training && m_rate > 0; }
  ops::DropoutMask mask(DropoutDraw const& draw, std::size_t first_row) const {
    return {m_key, draw.step, first_row, m_rate};
  }

  double m_rate;
  std::uint64_t m_key;
};

} // namespace dchag::layers
