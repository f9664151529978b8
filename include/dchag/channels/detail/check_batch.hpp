// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/channels/image.hpp>
#include <dchag/comm/agree.hpp>

namespace dchag::detail {

inline std::string list_text(std::span<std::size_t const> list) {
  std::string text;
  for (auto i : list) text.append(text.empty() ? "" : " ").append(std::to_string(i));
  return text.empty() ? "all" : text;
}

/// Of the numbers of a View.
template <class Positions>
std::uint64_t hash_of(Positions const& positions) {
  auto const host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), positions);
  Hash hash;
  for (std::size_t b = 0; b < host.extent(0); ++b)
    for (std::size_t i = 0; i < host.extent(1); ++i) hash.add(host(b, i));
  return hash.value();
}

/// Throws the same error on every rank unless `positions_of()`, which throws where the image does not fit, succeeds on
/// all of them and all bring as many samples of the same height and width, the same positions and list of channels.
template <class Pixels, class F>
void check_batch(comm::Communicator const& communicator, char const* where, Image<Pixels> const& image,
                 F const& positions_of) {
  std::size_t const positions = comm::collectively(communicator, positions_of);
  comm::require_same(communicator, where,
                     {{"samples B", image.pixels.extent(0)},
                      {"height H", image.pixels.extent(2)},
                      {"width W", image.pixels.extent(3)},
                      {"positions", positions},
                      {"the hash of the positions", hash_of(image.positions)},
                      {"the list of channels", list_text(image.channels)}});
}

} // namespace dchag::detail
