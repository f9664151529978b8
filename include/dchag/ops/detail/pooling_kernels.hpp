// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// \file
/// What the batched forms of the attention pooling share: views for strided products, and the kernels between products.
///
/// A patch carries a 1 behind its s pixels, and an embedding E[c] the column b[c] + v[c] behind its s columns. Tokens,
/// logits and the gradients of weight and bias are then plain products of S >= s + 1 columns; columns beyond are zero.
/// Letters: D width, h heads, V features of the output, C tokens, t positions of a tile, R = t h.

#include <dchag/core/bfloat16.hpp>
#include <dchag/core/check.hpp>
#include <dchag/core/parallel.hpp>
#include <dchag/core/workspace.hpp>
#include <dchag/ops/patch_embedding.hpp>
#include <dchag/ops/pooling_plan.hpp>

#include <algorithm>

namespace dchag::ops::detail {

/// Numbers that the scratch of one tile may take.
template <class ExecutionSpace>
inline constexpr std::size_t pooling_budget = std::size_t(1) << (runs_on_host<ExecutionSpace> ? 20 : 26);

/// Sizes of a pooling of these patches.
template <class Source, class Weights>
PoolingSizes sizes_of(Source const& patches, Weights const& weights) {
  return {.positions = patches.count(),
          .tokens = weights.patch_embedding.tokens(),
          .pixels = weights.patch_embedding.pixels(),
          .width = weights.query.extent(1),
          .heads = weights.query.extent(0),
          .outputs = weights.value.extent(0)};
}

/// Calls f(begin, end) for the parts [begin, end) of [0, count) that are `length` long, the last one shorter.
template <class F>
void for_each_part(std::size_t count, std::size_t length, F const& f) {
  for (std::size_t begin = 0; begin < count; begin += length) f(begin, (std::min)(begin + length, count));
}

/// (A, B, K) read as (B, A, K): the batch of a product may run over either axis.
template <TensorView<3> View>
auto exchanged(View const& view) {
  using Exchanged = Kokkos::View<typename View::value_type***, Kokkos::LayoutStride, typename View::memory_space>;
  return Exchanged(view.data(), Kokkos::LayoutStride(view.extent(1), view.stride(1), view.extent(0), view.stride(0),
                                                     view.extent(2), 1));
}

/// (A, B, K) read as the matrix (A, B K).
template <TensorView<3> View>
auto flattened(View const& view) {
  using Matrix = Kokkos::View<typename View::value_type**, Kokkos::LayoutStride, typename View::memory_space>;
  return Matrix(view.data(), Kokkos::LayoutStride(view.extent(0), view.stride(0), view.extent(1) * view.extent(2), 1));
}

/// Indices [begin, end) of the middle axis, or of the leading axis of a matrix.
template <TensorView<3> View>
auto middle(View const& view, std::size_t begin, std::size_t end) {
  return Kokkos::subview(view, Kokkos::ALL, std::pair(begin, end), Kokkos::ALL);
}
template <class T, class Space>
auto rows_of(Kokkos::View<T**, Kokkos::LayoutRight, Space> const& matrix, std::size_t begin, std::size_t end) {
  return Kokkos::View<T**, Kokkos::LayoutRight, Space>(matrix.data() + begin * matrix.extent(1), end - begin,
                                                       matrix.extent(1));
}

/// (t, h d) read as one matrix (t, d) a head: (h, t, d).
template <class T, class Space>
auto by_heads(Kokkos::View<T**, Kokkos::LayoutRight, Space> const& matrix, std::size_t heads) {
  return exchanged(reshape<3>(matrix, {matrix.extent(0), heads, matrix.extent(1) / heads}));
}

/// x = 0.
template <KokkosExecutionSpace ExecutionSpace, TensorView<2> X>
void clear_rows(ExecutionSpace const& exec, X const& x) {
  using T = typename X::value_type;
  for_each_element(
      exec, "dchag::ops::clear_rows", x.extent(0), x.extent(1),
      KOKKOS_LAMBDA(std::size_t n, std::size_t j) { x(n, j) = T(0); });
}

/// y = x in the other type.
template <KokkosExecutionSpace ExecutionSpace, TensorView<2> X, TensorView<2> Y>
void convert(ExecutionSpace const& exec, X const& x, Y const& y) {
  using Number = typename Y::value_type;
  for_each_element(
      exec, "dchag::ops::convert", x.extent(0), x.extent(1),
      KOKKOS_LAMBDA(std::size_t n, std::size_t j) { y(n, j) = static_cast<Number>(x(n, j)); });
}

/// `view` itself if it holds such numbers, else a copy of it in scratch.
template <class Number, KokkosExecutionSpace ExecutionSpace, class Frame, class View>
auto stored_as(ExecutionSpace const& exec, Frame& frame, View const& view) {
  if constexpr (std::is_same_v<Number, typename View::non_const_value_type>) {
    return view;
  } else {
    auto const copy = frame.template take<Number, View::rank>(extents_of(view));
    convert(exec, rows(view), rows(copy));
    return copy;
  }
}

/// `view` itself if it holds such numbers, else scratch of its extents.
template <class Number, class Frame, class View>
auto scratch_like(Frame& frame, View const& view) {
  if constexpr (std::is_same_v<Number, typename View::non_const_value_type>)
    return view;
  else
    return frame.template take<Number, View::rank>(extents_of(view));
}

/// out[j, i] = [weight, bias + embedding, 0 ...] of the tokens first + i.
///
/// Shapes: out (D, tokens, S).
template <KokkosExecutionSpace ExecutionSpace, Scalar T, TensorView<3> Out>
void gather_embedding(ExecutionSpace const& exec, PatchEmbedding<ExecutionSpace, T> const& embedding, std::size_t first,
                      Out const& out) {
  using Worker = Team<ExecutionSpace>;
  using Number = typename Out::value_type;
  std::size_t const s = embedding.pixels();
  auto const tokens = static_cast<unsigned>(out.extent(1));
  auto const columns = static_cast<unsigned>(out.extent(2));
  for_each_team(
      exec, "dchag::ops::gather_embedding", out.extent(0), KOKKOS_LAMBDA(Worker const& team, std::size_t j) {
        team.for_each(std::size_t(tokens) * columns, [&](std::size_t at) {
          unsigned const i = static_cast<unsigned>(at) / columns;
          unsigned const k = static_cast<unsigned>(at) % columns;
          std::size_t const channel = embedding.channels(first + i);
          T value = T(0);
          if (k < s)
            value = embedding.weight(channel, j, k);
          else if (k == s)
            value = embedding.bias(channel, j) + embedding.embedding(channel, j);
          out(j, i, k) = static_cast<Number>(value);
        });
      });
}

/// The adjoint of `gather_embedding`: adds d_out to the gradients of weight, bias and embedding.
template <KokkosExecutionSpace ExecutionSpace, Scalar T, TensorView<3> DOut>
void scatter_embedding(ExecutionSpace const& exec, DOut const& d_out, std::size_t first,
                       PatchEmbedding<ExecutionSpace, T> const& d_embedding) {
  using Worker = Team<ExecutionSpace>;
  std::size_t const s = d_embedding.pixels();
  auto const tokens = static_cast<unsigned>(d_out.extent(1));
  auto const wanted = static_cast<unsigned>(s + 1);
  for_each_team(
      exec, "dchag::ops::scatter_embedding", d_out.extent(0), KOKKOS_LAMBDA(Worker const& team, std::size_t j) {
        team.for_each(std::size_t(tokens) * wanted, [&](std::size_t at) {
          unsigned const i = static_cast<unsigned>(at) / wanted;
          unsigned const k = static_cast<unsigned>(at) % wanted;
          std::size_t const channel = d_embedding.channels(first + i);
          T const value = d_out(j, i, k);
          if (k < s) {
            d_embedding.weight(channel, j, k) += value;
          } else {
            d_embedding.bias(channel, j) += value;
            d_embedding.embedding(channel, j) += value;
          }
        });
      });
}

/// Calls f(team, n, c, y, origin) for each row y of pixels of each patch (c, n), c < tokens, n < positions: a worker
/// takes some channels of one position, whose divisions it does once.
template <KokkosExecutionSpace ExecutionSpace, class Source, class F>
void for_each_patch_row(ExecutionSpace const& exec, char const* label, Source const& patches, std::size_t tokens,
                        std::size_t first_position, std::size_t positions, F const& f) {
  using Worker = Team<ExecutionSpace>;
  constexpr std::size_t group = 16;
  std::size_t const groups = ceil_div(tokens, group);
  std::size_t const edge = patches.patch;
  for_each_team(
      exec, label, positions * groups, KOKKOS_LAMBDA(Worker const& team, std::size_t task) {
        std::size_t const n = task / groups;
        std::size_t const begin = task % groups * group;
        auto const origin = patches.origin(first_position + n);
        team.for_each(((math::min)(begin + group, tokens) - begin) * edge,
                      [&](std::size_t at) { f(n, begin + at / edge, at % edge, origin); });
      });
}

/// out[i, n] = [pixels of patch (first_token + i, first_position + n), 1, 0 ...].
///
/// Shapes: out (tokens, t, S).
template <KokkosExecutionSpace ExecutionSpace, class Source, TensorView<3> Out>
void gather_tile(ExecutionSpace const& exec, Source const& patches, std::size_t first_token, std::size_t first_position,
                 Out const& out) {
  using Number = typename Out::value_type;
  using Origin = typename Source::Origin;
  std::size_t const edge = patches.patch;
  std::size_t const columns = out.extent(2);
  for_each_patch_row(
      exec, "dchag::ops::gather_tile", patches, out.extent(0), first_position, out.extent(1),
      KOKKOS_LAMBDA(std::size_t n, std::size_t i, std::size_t y, Origin const& at) {
        std::size_t const plane = patches.plane(first_token + i);
        Number* to = &out(i, n, y * edge);
        for (std::size_t x = 0; x < edge; ++x)
          to[x] = static_cast<Number>(patches.image(at.sample, plane, at.row + y, at.column + x));
        if (y + 1 < edge) return;
        for (std::size_t k = edge * edge; k < columns; ++k)
          out(i, n, k) = static_cast<Number>(k == edge * edge ? 1.f : 0.f);
      });
}

/// The adjoint of `gather_tile`: writes the pixels that were read.
template <KokkosExecutionSpace ExecutionSpace, class Source, TensorView<3> DOut>
void scatter_tile(ExecutionSpace const& exec, DOut const& d_out, std::size_t first_token, std::size_t first_position,
                  Source const& d_patches) {
  using Pixel = typename Source::value_type;
  using Origin = typename Source::Origin;
  std::size_t const edge = d_patches.patch;
  for_each_patch_row(
      exec, "dchag::ops::scatter_tile", d_patches, d_out.extent(0), first_position, d_out.extent(1),
      KOKKOS_LAMBDA(std::size_t n, std::size_t i, std::size_t y, Origin const& at) {
        std::size_t const plane = d_patches.plane(first_token + i);
        for (std::size_t x = 0; x < edge; ++x)
          d_patches.image(at.sample, plane, at.row + y, at.column + x) = static_cast<Pixel>(d_out(i, n, y * edge + x));
      });
}

/// Of the C logits of each row: maximum, and sum of exp(logit - maximum); with those of earlier logits unless these are
/// the first.
///
/// Shapes: z (C, R); maximum, sum (R numbers, in any shape).
template <KokkosExecutionSpace ExecutionSpace, TensorView<2> Z, class Statistics>
void softmax_statistics(ExecutionSpace const& exec, Z const& z, bool first, Statistics const& maximum,
                        Statistics const& sum) {
  using T = typename Z::value_type;
  constexpr std::size_t strip = runs_on_host<ExecutionSpace> ? 16 : 1; // rows beside each other, which vectorises
  std::size_t const C = z.extent(0);
  std::size_t const R = z.extent(1);
  T* const maximum_of = maximum.data();
  T* const sum_of = sum.data();
  Kokkos::parallel_for(
      "dchag::ops::softmax_statistics",
      Kokkos::RangePolicy<ExecutionSpace, Kokkos::IndexType<std::size_t>>(exec, 0, ceil_div(R, strip)),
      KOKKOS_LAMBDA(std::size_t task) {
        std::size_t const begin = task * strip;
        std::size_t const count = (math::min)(R - begin, strip);
        T largest[strip];
        T total[strip] = {};
        for (std::size_t i = 0; i < count; ++i) largest[i] = first ? z(0, begin + i) : maximum_of[begin + i];
        for (std::size_t c = 0; c < C; ++c)
          for (std::size_t i = 0; i < count; ++i) largest[i] = math::max<T>(largest[i], z(c, begin + i));
        if (!first)
          for (std::size_t i = 0; i < count; ++i)
            total[i] = sum_of[begin + i] * math::exp(maximum_of[begin + i] - largest[i]);
        for (std::size_t c = 0; c < C; ++c)
          for (std::size_t i = 0; i < count; ++i) total[i] += math::exp(z(c, begin + i) - largest[i]);
        for (std::size_t i = 0; i < count; ++i) {
          maximum_of[begin + i] = largest[i];
          sum_of[begin + i] = total[i];
        }
      });
}

/// a = exp(z - maximum) / sum.
///
/// Shapes: z, a (C, R); maximum, sum (R numbers, in any shape).
template <KokkosExecutionSpace ExecutionSpace, TensorView<2> Z, class Statistics, TensorView<2> A>
void softmax_weights(ExecutionSpace const& exec, Z const& z, Statistics const& maximum, Statistics const& sum,
                     A const& a) {
  using T = typename Z::value_type;
  using Number = typename A::value_type;
  T const* const maximum_of = maximum.data();
  T const* const sum_of = sum.data();
  for_each_element(
      exec, "dchag::ops::softmax_weights", z.extent(0), z.extent(1), KOKKOS_LAMBDA(std::size_t c, std::size_t i) {
        a(c, i) = static_cast<Number>(math::exp(z(c, i) - maximum_of[i]) / sum_of[i]);
      });
}

/// d_z = a (d_a - delta): the gradient of the logits. A weight of 1 leaves its logit no gradient: said outright, since
/// d_a and delta agree but for rounding (in bfloat16 a weight may only look like 1).
///
/// Shapes: a, d_a, d_z (C, R); delta (R numbers, in any shape).
template <KokkosExecutionSpace ExecutionSpace, TensorView<2> A, TensorView<2> DA, class Delta, TensorView<2> DZ>
void logit_gradient(ExecutionSpace const& exec, A const& a, DA const& d_a, Delta const& delta, DZ const& d_z) {
  using T = typename DA::value_type;
  using Number = typename DZ::value_type;
  T const* const delta_of = delta.data();
  for_each_element(
      exec, "dchag::ops::logit_gradient", d_a.extent(0), d_a.extent(1), KOKKOS_LAMBDA(std::size_t c, std::size_t i) {
        T const weight = static_cast<T>(a(c, i));
        bool const whole = std::is_same_v<Number, T> && weight >= T(1);
        d_z(c, i) = static_cast<Number>(whole ? T(0) : weight * (d_a(c, i) - delta_of[i]));
      });
}

/// (C, t, h) as (C, R).
template <TensorView<3> View>
auto by_tokens(View const& view) {
  return reshape<2>(view, {view.extent(0), view.extent(1) * view.extent(2)});
}

} // namespace dchag::ops::detail
