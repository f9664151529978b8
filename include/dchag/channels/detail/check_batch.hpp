// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/channels/image.hpp>
#include <dchag/comm/agree.hpp>

namespace dchag::detail {

/// The channels of an image, all of them: they are compared as a text, which a sentence shortens.
inline std::string channels_text(std::span<std::size_t const> list) {
  std::string text;
  for (auto i : list) text.append(text.empty() ? "" : " ").append(std::to_string(i));
  return text.empty() ? "all" : text;
}

/// Of the positions of B samples that are wanted, `count` of each; an empty list stands for all of them.
template <class Positions>
std::uint64_t hash_of(Positions const& positions, std::size_t samples, std::size_t count) {
  auto const host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), positions);
  Hash hash;
  for (std::size_t b = 0; b < samples; ++b)
    for (std::size_t i = 0; i < count; ++i) hash.add(host.size() == 0 ? std::uint64_t{i} : std::uint64_t{host(b, i)});
  return hash.value();
}

/// Throws the same error on every rank unless `positions_of()`, which throws where the image does not fit, succeeds on
/// all of them and all bring as many samples of the same height and width, the same positions and list of channels.
template <class Pixels, class F>
void check_batch(comm::Communicator const& communicator, char const* where, Image<Pixels> const& image,
                 F const& positions_of) {
  std::size_t const samples = image.pixels.extent(0);
  auto const [positions, hash] = comm::collectively(communicator, [&] {
    std::size_t const count = positions_of();
    return std::pair(count, hash_of(image.positions, samples, count));
  });
  comm::require_same(communicator, where,
                     {{"samples B", samples},
                      {"height H", image.pixels.extent(2)},
                      {"width W", image.pixels.extent(3)},
                      {"positions", positions},
                      {"the hash of the positions", hash},
                      {"the list of channels", channels_text(image.channels)}});
}

} // namespace dchag::detail
