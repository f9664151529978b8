// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// \file
/// Tiles of patches for the products on a host, gathered inside a worker's task. What is here runs over addresses: an
/// image of any layout and pixel type is a pointer and the distances of its axes.

#include <dchag/ops/detail/lanes.hpp>
#include <dchag/ops/patches.hpp>

#include <type_traits>

namespace dchag::ops::detail {

/// Where the pixels of the patches lie.
template <class Source>
class PixelAddresses {
public:
  using Pointer = decltype(Source::image.data());

  explicit PixelAddresses(Source const& patches) : m_patches(patches), m_image(patches.image) {}

  std::size_t row() const { return m_image.stride(2); }
  std::size_t column() const { return m_image.stride(3); }
  Pointer plane(std::size_t token) const { return m_image.data() + m_patches.plane(token) * m_image.stride(1); }

  /// Of the first pixel at a position, from the plane's beginning: takes divisions, and serves all tokens.
  std::size_t position(std::size_t n) const {
    auto const at = m_patches.origin(n);
    return at.sample * m_image.stride(0) + at.row * row() + at.column * column();
  }

private:
  Source const& m_patches;
  decltype(Source::image) const& m_image;
};

/// Calls f(edge, column) with the patch edge and the distance between a row's pixels: constants, for loops that the
/// compiler unrolls, where they are common.
template <class F>
void with_patch_constants(std::size_t edge, std::size_t column, F const& f) {
  using std::integral_constant;
  if (column != 1) return f(edge, column);
  integral_constant<std::size_t, 1> const contiguous;
  switch (edge) {
  case 2:
    return f(integral_constant<std::size_t, 2>(), contiguous);
  case 4:
    return f(integral_constant<std::size_t, 4>(), contiguous);
  case 8:
    return f(integral_constant<std::size_t, 8>(), contiguous);
  case 16:
    return f(integral_constant<std::size_t, 16>(), contiguous);
  default:
    return f(edge, contiguous);
  }
}

/// The patches of the tokens [token_begin, token_end) at `positions` positions, positions side by side:
///
///     out (lane block, token, s, lanes): pixel k of token i at position block * lanes + lane
///
/// Zeros where the positions run out. With `factors` (tokens), each token's pixels times its factor. Behind the pixels
/// of each token, room for `spare` more is left as it is.
template <class T, class Source>
void gather_lanes(Source const& patches, std::size_t token_begin, std::size_t token_end, std::size_t position_begin,
                  std::size_t positions, T* out, T const* factors = nullptr, std::size_t spare = 0) {
  constexpr std::size_t L = lanes<T>;
  PixelAddresses<Source> const pixels(patches);
  std::size_t const row = pixels.row();
  with_patch_constants(patches.patch, pixels.column(), [&](auto const edge, auto const column) {
    for (std::size_t first = 0; first < positions; first += L) {
      std::size_t const used = (std::min)(L, positions - first);
      std::size_t at[L];
      for (std::size_t lane = 0; lane < used; ++lane) at[lane] = pixels.position(position_begin + first + lane);
      for (std::size_t token = token_begin; token < token_end; ++token) {
        auto const* plane = pixels.plane(token);
        T const factor = factors == nullptr ? T(1) : factors[token - token_begin];
        for (std::size_t y = 0; y < edge; ++y, out += edge * L) {
          for (std::size_t lane = 0; lane < used; ++lane) {
            auto const* from = plane + at[lane] + y * row;
            for (std::size_t x = 0; x < edge; ++x) out[x * L + lane] = factor * static_cast<T>(from[x * column]);
          }
          for (std::size_t lane = used; lane < L; ++lane)
            for (std::size_t x = 0; x < edge; ++x) out[x * L + lane] = T(0);
        }
        out += spare * L;
      }
    }
  });
}

/// The adjoint of `gather_lanes`: the pixels that were read get in (lane block, token, s, lanes).
template <class T, class Source>
void scatter_lanes(Source const& patches, std::size_t token_begin, std::size_t token_end, std::size_t position_begin,
                   std::size_t positions, T const* in) {
  using Pixel = typename Source::value_type;
  constexpr std::size_t L = lanes<T>;
  PixelAddresses<Source> const pixels(patches);
  std::size_t const row = pixels.row();
  with_patch_constants(patches.patch, pixels.column(), [&](auto const edge, auto const column) {
    for (std::size_t first = 0; first < positions; first += L) {
      std::size_t const used = (std::min)(L, positions - first);
      std::size_t at[L];
      for (std::size_t lane = 0; lane < used; ++lane) at[lane] = pixels.position(position_begin + first + lane);
      for (std::size_t token = token_begin; token < token_end; ++token) {
        for (std::size_t lane = 0; lane < used; ++lane) {
          auto* to = pixels.plane(token) + at[lane];
          for (std::size_t y = 0; y < edge; ++y, to += row)
            for (std::size_t x = 0; x < edge; ++x) to[x * column] = static_cast<Pixel>(in[(y * edge + x) * L + lane]);
        }
        in += edge * edge * L;
      }
    }
  });
}

/// The same patches as rows of pixels, those of a token at a position from out + token * token_distance + position *
/// position_distance.
template <class T, class Source>
void gather_rows(Source const& patches, std::size_t token_begin, std::size_t token_end, std::size_t position_begin,
                 std::size_t positions, T* out, std::size_t token_distance, std::size_t position_distance) {
  PixelAddresses<Source> const pixels(patches);
  std::size_t const row = pixels.row();
  with_patch_constants(patches.patch, pixels.column(), [&](auto const edge, auto const column) {
    for (std::size_t i = 0; i < positions; ++i) {
      std::size_t const at = pixels.position(position_begin + i);
      for (std::size_t token = token_begin; token < token_end; ++token) {
        auto const* from = pixels.plane(token) + at;
        T* to = out + (token - token_begin) * token_distance + i * position_distance;
        for (std::size_t y = 0; y < edge; ++y, from += row, to += edge)
          for (std::size_t x = 0; x < edge; ++x) to[x] = static_cast<T>(from[x * column]);
      }
    }
  });
}

/// The adjoint of `gather_rows`: the pixels that were read get factor * in (token, position, s).
template <class T, class Source>
void scatter_rows(Source const& patches, std::size_t token_begin, std::size_t token_end, std::size_t position_begin,
                  std::size_t positions, T const* in, T factor = T(1)) {
  using Pixel = typename Source::value_type;
  PixelAddresses<Source> const pixels(patches);
  std::size_t const s = patches.pixels();
  std::size_t const row = pixels.row();
  with_patch_constants(patches.patch, pixels.column(), [&](auto const edge, auto const column) {
    for (std::size_t i = 0; i < positions; ++i) {
      std::size_t const at = pixels.position(position_begin + i);
      for (std::size_t token = token_begin; token < token_end; ++token) {
        auto* to = pixels.plane(token) + at;
        T const* from = in + ((token - token_begin) * positions + i) * s;
        for (std::size_t y = 0; y < edge; ++y, to += row, from += edge)
          for (std::size_t x = 0; x < edge; ++x) to[x * column] = static_cast<Pixel>(factor * from[x]);
      }
    }
  });
}

} // namespace dchag::ops::detail
