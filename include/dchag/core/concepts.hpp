// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/kokkos.hpp>

#include <concepts>
#include <cstddef>

namespace dchag {

template <class Space>
concept KokkosExecutionSpace = Kokkos::is_execution_space<Space>::value;

/// What parameters and activations are made of.
template <class T>
concept Scalar = std::same_as<T, float> || std::same_as<T, double>;

/// A Kokkos View with this many axes, of any layout and constness.
template <class V, std::size_t Rank>
concept TensorView = Kokkos::is_view<V>::value && V::rank == Rank;

/// Passed where a gradient would be written, says that nobody wants it.
struct NoGradient {};
inline constexpr NoGradient no_gradient{};

template <class V>
inline constexpr bool is_wanted = !std::same_as<std::remove_cvref_t<V>, NoGradient>;

/// A View to write a gradient to, or `no_gradient`.
template <class V, std::size_t Rank>
concept GradientView = std::same_as<V, NoGradient> || TensorView<V, Rank>;

} // namespace dchag
