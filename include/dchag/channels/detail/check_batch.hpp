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

/// Throws the same error on every rank unless `positions_of()`, which throws where the image does not fit, succeeds on
/// all of them and all bring as many samples, positions and the same list of channels.
template <class Pixels, class F>
void check_batch(comm::Communicator const& communicator, char const* where, Image<Pixels> const& image,
                 F const& positions_of) {
  std::size_t const positions = comm::collectively(communicator, positions_of);
  comm::require_same(communicator, where,
                     {{"samples B", image.pixels.extent(0)},
                      {"positions", positions},
                      {"the list of channels", list_text(image.channels)}});
}

} // namespace dchag::detail
