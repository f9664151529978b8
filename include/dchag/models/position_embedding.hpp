// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/layers/encoder_block.hpp>

namespace dchag {

/// Patch positions of an image: rows and columns of its grid.
struct Grid {
  std::size_t rows;
  std::size_t columns;

  std::size_t positions() const { return rows * columns; }
};

/// A learnable embedding of each patch position, added to its token.
///
/// Shapes: x, y (N, D); index (N), the position of each row; parameter `<name>` (L, D).
/// Source: the paper; starts as the 2-D sine and cosine of MAE (He et al. 2022): the first half of the features by
/// column, the second by row.
template <KokkosExecutionSpace ExecutionSpace, Scalar T>
class PositionEmbedding {
public:
  using value_type = T;

  /// `partial_gradient`: each rank of tensor parallelism sees rows of its own (see `ParameterSpec`).
  PositionEmbedding(ExecutionSpace const& exec, std::string const& name, Grid grid, std::size_t width,
                    bool partial_gradient = false)
      : m_table(exec, {.name = name, .shape = {grid.positions(), width}, .partial_gradient = partial_gradient},
                [=](std::size_t i) {
                  auto const row = static_cast<double>(i / width / grid.columns);
                  auto const column = static_cast<double>(i / width % grid.columns);
                  std::size_t const half = (width + 1) / 2;
                  std::size_t const feature = i % width;
                  return feature < half ? initial::sine_cosine(column, feature, half)
                                        : initial::sine_cosine(row, feature - half, width - half);
                }) {}

  template <class X, class Index, class Y>
  void forward(ExecutionSpace const& exec, X const& x, Index const& index, Y const& y) const {
    ops::add_embedding(exec, rows(x), m_table.template value<2>(), index, rows(y));
  }

  /// d_x is d_y.
  template <class Index, class DY>
  void backward(ExecutionSpace const& exec, Index const& index, DY const& d_y) const {
    ops::add_embedding_backward(exec, rows(d_y), index, m_table.template gradient<2>());
  }

  template <class F>
  void for_each_parameter(F const& f) {
    f(m_table);
  }

private:
  Parameter<ExecutionSpace, T> m_table; // (L, D)
};

} // namespace dchag
