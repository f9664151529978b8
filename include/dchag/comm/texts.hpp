// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/comm/agree.hpp>

/// \file
/// Texts of any length between ranks: descriptions, file headers.
namespace dchag::comm {

/// The text of rank `root`, on every rank.
/// Collective: two broadcasts, of the length and of the text. Throws: CommError.
inline std::string broadcast_text(Communicator const& communicator, std::string text, int root) {
  return communicator.size() == 1 ? text : detail::broadcast_text(communicator, std::move(text), root);
}

/// The texts of all ranks, in rank order, at `root`; empty ones elsewhere.
/// Collective: one all-gather of the lengths, one gather of the texts, and more where they are longer than MPI counts.
/// Throws: CommError.
inline std::vector<std::string> gather_texts(Communicator const& communicator, std::string const& text, int root,
                                             std::size_t limit = detail::count_limit) {
  auto const size = static_cast<std::size_t>(communicator.size());
  if (size == 1) return {text};
  std::vector<std::size_t> lengths(size);
  std::size_t const length = text.size();
  detail::mpi_all_gather(communicator, &length, lengths.data(), 1);

  std::vector<std::string> texts(size);
  std::size_t const share = std::max<std::size_t>(limit / size, 1); // of a rank, in a round
  std::size_t const longest = *std::max_element(lengths.begin(), lengths.end());
  bool const receives = communicator.rank() == root;
  std::string received;
  for (std::size_t begin = 0; begin < longest; begin += share) {
    std::vector<int> counts, displacements;
    std::size_t total = 0;
    for (auto n : lengths) {
      counts.push_back(static_cast<int>(n > begin ? (std::min)(share, n - begin) : 0));
      displacements.push_back(static_cast<int>(total));
      total += static_cast<std::size_t>(counts.back());
    }
    if (receives) received.resize(total);
    auto const own = static_cast<std::size_t>(communicator.rank());
    detail::check(MPI_Gatherv(text.data() + (std::min)(begin, length), counts[own], MPI_CHAR, received.data(),
                              counts.data(), displacements.data(), MPI_CHAR, root, communicator.native()),
                  "MPI_Gatherv");
    for (std::size_t r = 0; receives && r < size; ++r)
      texts[r].append(received, static_cast<std::size_t>(displacements[r]), static_cast<std::size_t>(counts[r]));
  }
  return texts;
}

} // namespace dchag::comm
