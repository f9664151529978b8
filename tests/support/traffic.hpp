// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/comm/mesh.hpp>
#include <dchag/parallel/sharding.hpp>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <ostream>
#include <support/pmpi.hpp>
#include <vector>

/// \file
/// What a rank sends, counted and as documented.
namespace dchag::test {

/// Calls of MPI's functions and the bytes that a rank gives in them.
class Traffic {
public:
  Traffic() = default;
  explicit Traffic(support::CommCount const& count) : m_sent(count.by_function()) {}

  /// Calls in which so many numbers are given, together. A group of one rank calls nothing.
  template <class T>
  void add(int ranks, std::string const& function, std::size_t calls, std::size_t numbers) {
    if (ranks == 1 || calls == 0) return;
    auto& sent = m_sent[function];
    sent.calls += calls;
    sent.bytes += numbers * sizeof(T);
  }

  friend Traffic operator+(Traffic a, Traffic const& b) {
    for (auto const& [function, sent] : b.m_sent) {
      a.m_sent[function].calls += sent.calls;
      a.m_sent[function].bytes += sent.bytes;
    }
    return a;
  }
  friend bool operator==(Traffic const&, Traffic const&) = default;
  friend std::ostream& operator<<(std::ostream& text, Traffic const& traffic) {
    if (traffic.m_sent.empty()) return text << "nothing";
    char const* before = "";
    for (auto const& [function, sent] : traffic.m_sent) {
      text << before << sent.calls << " " << function << " of " << sent.bytes << " bytes";
      before = ", ";
    }
    return text;
  }

private:
  support::CommCount::Tallies m_sent;
};

/// Numbers of a unit, padded, of which the first are the same on all tensor-parallel ranks; all of them by default.
struct UnitSize {
  std::size_t size, alike = std::numeric_limits<std::size_t>::max();
};

/// What `DataParallel` sends in a step of K micro-batches: the table of `parallel::Sharding`. `units` ends with what is
/// in no unit. `Staged`: messages go through host memory. `AtOnce`: reductions are made where they are begun.
template <class T, bool Staged = false, bool AtOnce = Staged>
Traffic sharding_traffic(comm::Mesh const& mesh, parallel::Sharding sharding, std::vector<UnitSize> const& units,
                         std::size_t K = 1) {
  using parallel::Sharding;
  std::string const gather = Staged ? "MPI_Allgather" : "MPI_Iallgather";
  std::string const scatter = AtOnce ? "MPI_Reduce_scatter_block" : "MPI_Ireduce_scatter_block";
  std::string const reduce = AtOnce ? "MPI_Allreduce" : "MPI_Iallreduce";
  auto const total = [&](std::size_t begin, std::size_t end) {
    std::size_t numbers = 0;
    for (std::size_t i = begin; i < end; ++i) numbers += units[i].size;
    return numbers;
  };
  int const shards = sharding == Sharding::none ? 1 : mesh.shape().shard;
  auto const S = static_cast<std::size_t>(shards);
  std::size_t const n = units.size() - 1, N = total(0, n + 1), R = units.back().size, r = R > 0 ? 1 : 0;
  Traffic sent;
  if (sharding == Sharding::full) {
    std::size_t const two = std::min<std::size_t>(n, 2);
    std::size_t const first_two = total(0, two), last_two = total(n - two, n);
    sent.add<T>(shards, scatter, K * n + r, K * (N - R) + R);
    sent.add<T>(shards, gather, n + (2 * K - 1) * (n - two) + r,
                (N - R + K * (N - R - last_two) + (K - 1) * (N - R - first_two) + R) / S);
  } else {
    sent.add<T>(shards, scatter, n + r, N);
    sent.add<T>(shards, gather, n + r, N / S);
  }
  auto const& [alike, distributed] = S == 1 ? std::pair(mesh.world().size(), mesh.replicas().size())
                                            : std::pair(mesh.holders().size(), mesh.data().size());
  for (auto const& unit : units) {
    std::size_t const own = unit.size / S; // numbers of each shard
    std::size_t const begin = S == 1 ? 0 : static_cast<std::size_t>(mesh.shard_index()) * own;
    std::size_t const shared = std::clamp(unit.alike, begin, begin + own) - begin;
    sent.add<T>(alike, reduce, shared > 0 ? 1 : 0, shared);
    sent.add<T>(distributed, reduce, shared < own ? 1 : 0, own - shared);
  }
  int const all = mesh.world().size();
  if (sharding == Sharding::full || mesh.tensor().size() > 1) sent.add<std::uint64_t>(all, "MPI_Allreduce", 1, 2);
  sent.add<double>(all, "MPI_Allreduce", 1, 6);
  return sent;
}

/// Of `gradient_norm` and `clip_gradients` with `DataParallel::gradient_sum`.
inline Traffic clipping_traffic(comm::Mesh const& mesh) {
  Traffic sent;
  sent.add<double>(mesh.world().size(), "MPI_Allreduce", 1, 1);
  return sent;
}

/// Of `DataParallel::mean`.
inline Traffic mean_traffic(comm::Mesh const& mesh) {
  Traffic sent;
  sent.add<double>(mesh.world().size(), "MPI_Allreduce", 1, 1);
  return sent;
}

} // namespace dchag::test
