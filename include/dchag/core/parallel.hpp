// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/concepts.hpp>
#include <dchag/core/error.hpp>
#include <dchag/core/math.hpp>

#include <limits>
#include <string>

namespace dchag {

/// One worker's loops over the columns of a row, written once for both kinds of machine: on the host a single thread
/// whose loops the compiler vectorises, on a device a Kokkos team. All members return the same value to every thread of
/// the team; `barrier` orders what the threads wrote.
template <class ExecutionSpace, bool = runs_on_host<ExecutionSpace>>
class Team;

template <class ExecutionSpace>
class Team<ExecutionSpace, true> {
public:
  template <class F>
  KOKKOS_FUNCTION void for_each(std::size_t count, F const& f) const {
    for (std::size_t i = 0; i < count; ++i) f(i);
  }

  // Sixteen independent partial results: the compiler may not reorder floating-point sums on its own.
  template <class T, class F>
  KOKKOS_FUNCTION T sum(std::size_t count, F const& f) const {
    T lanes[width] = {};
    std::size_t i = 0;
    for (; i + width <= count; i += width)
      for (std::size_t k = 0; k < width; ++k) lanes[k] += f(i + k);
    for (std::size_t k = 0; i < count; ++i, ++k) lanes[k] += f(i);
    for (std::size_t half = width / 2; half > 0; half /= 2) // in pairs: the chain of dependent sums is short
      for (std::size_t k = 0; k < half; ++k) lanes[k] += lanes[k + half];
    return lanes[0];
  }

  template <class T, class F>
  KOKKOS_FUNCTION T(max)(std::size_t count, F const& f) const {
    T lanes[width];
    for (std::size_t k = 0; k < width; ++k) lanes[k] = f(0);
    std::size_t i = 0;
    for (; i + width <= count; i += width)
      for (std::size_t k = 0; k < width; ++k) lanes[k] = math::max<T>(lanes[k], f(i + k));
    for (std::size_t k = 0; i < count; ++i, ++k) lanes[k] = math::max<T>(lanes[k], f(i));
    for (std::size_t half = width / 2; half > 0; half /= 2)
      for (std::size_t k = 0; k < half; ++k) lanes[k] = math::max<T>(lanes[k], lanes[k + half]);
    return lanes[0];
  }

  template <class F>
  KOKKOS_FUNCTION void once(F const& f) const {
    f();
  }
  KOKKOS_FUNCTION void barrier() const {}

private:
  static constexpr std::size_t width = 16;
};

template <class ExecutionSpace>
class Team<ExecutionSpace, false> {
public:
  using Member = typename Kokkos::TeamPolicy<ExecutionSpace>::member_type;
  KOKKOS_FUNCTION explicit Team(Member const& member) : m_member(member) {}

  template <class F>
  KOKKOS_FUNCTION void for_each(std::size_t count, F const& f) const {
    Kokkos::parallel_for(Kokkos::TeamThreadRange(m_member, count), f);
  }
  template <class T, class F>
  KOKKOS_FUNCTION T sum(std::size_t count, F const& f) const {
    T total{};
    Kokkos::parallel_reduce(
        Kokkos::TeamThreadRange(m_member, count), [&](std::size_t i, T& partial) { partial += f(i); }, total);
    return total;
  }
  template <class T, class F>
  KOKKOS_FUNCTION T(max)(std::size_t count, F const& f) const {
    T largest{};
    Kokkos::parallel_reduce(
        Kokkos::TeamThreadRange(m_member, count),
        [&](std::size_t i, T& partial) { partial = math::max<T>(partial, f(i)); }, Kokkos::Max<T>(largest));
    return largest;
  }
  template <class F>
  KOKKOS_FUNCTION void once(F const& f) const {
    Kokkos::single(Kokkos::PerTeam(m_member), f);
  }
  KOKKOS_FUNCTION void barrier() const { m_member.team_barrier(); }

private:
  Member const& m_member;
};

namespace detail {
/// A device counts its teams in int.
inline int league_size(std::string const& label, std::size_t count) {
  require<Error>(count <= static_cast<std::size_t>((std::numeric_limits<int>::max)()), label, ": ", count,
                 " teams are more than a device can launch at once");
  return static_cast<int>(count);
}

template <class ExecutionSpace, class F>
struct DeviceTeamLaunch {
  F f;
  KOKKOS_FUNCTION void operator()(typename Team<ExecutionSpace>::Member const& member) const {
    f(Team<ExecutionSpace>(member), static_cast<std::size_t>(member.league_rank()));
  }
};

template <class ExecutionSpace, class F>
struct DeviceTeamSum {
  F f;
  KOKKOS_FUNCTION void operator()(typename Team<ExecutionSpace>::Member const& member, double& sum) const {
    double const value = f(Team<ExecutionSpace>(member), static_cast<std::size_t>(member.league_rank()));
    Kokkos::single(Kokkos::PerTeam(member), [&] { sum += value; });
  }
};

template <class ExecutionSpace, class T, std::size_t Count, class F>
struct DeviceScratchTeamLaunch {
  F f;
  KOKKOS_FUNCTION void operator()(typename Team<ExecutionSpace>::Member const& member) const {
    auto* scratch = static_cast<T*>(member.team_scratch(0).get_shmem_aligned(Count * sizeof(T), 64));
    f(Team<ExecutionSpace>(member), static_cast<std::size_t>(member.league_rank()), scratch);
  }
};

template <class F>
struct RowMajorLoop {
  F f;
  std::size_t columns;
  KOKKOS_FUNCTION void operator()(std::size_t i) const { f(i / columns, i % columns); }
};
} // namespace detail

/// Calls f(team, i) for every i < count, each by one team. F takes `Team<ExecutionSpace> const&` and an index.
template <KokkosExecutionSpace ExecutionSpace, class F>
void for_each_team(ExecutionSpace const& exec, std::string const& label, std::size_t count, F const& f) {
  if (count == 0) return;
  if constexpr (runs_on_host<ExecutionSpace>) {
    Kokkos::parallel_for(label, Kokkos::RangePolicy<ExecutionSpace, Kokkos::IndexType<std::size_t>>(exec, 0, count),
                         [f](std::size_t i) { f(Team<ExecutionSpace>(), i); });
  } else {
    Kokkos::parallel_for(label, Kokkos::TeamPolicy<ExecutionSpace>(exec, detail::league_size(label, count), 128),
                         detail::DeviceTeamLaunch<ExecutionSpace, F>{f});
  }
}

/// The sum over i < count of what f(team, i) returns, the same on every thread of the team. Waits for the result.
template <KokkosExecutionSpace ExecutionSpace, class F>
double sum_over_teams(ExecutionSpace const& exec, std::string const& label, std::size_t count, F const& f) {
  double total = 0;
  if (count == 0) return total;
  if constexpr (runs_on_host<ExecutionSpace>) {
    Kokkos::parallel_reduce(
        label, Kokkos::RangePolicy<ExecutionSpace, Kokkos::IndexType<std::size_t>>(exec, 0, count),
        [f](std::size_t i, double& sum) { sum += f(Team<ExecutionSpace>(), i); }, total);
  } else {
    Kokkos::parallel_reduce(label, Kokkos::TeamPolicy<ExecutionSpace>(exec, detail::league_size(label, count), 128),
                            detail::DeviceTeamSum<ExecutionSpace, F>{f}, total);
  }
  return total;
}

/// As `for_each_team`, with an array of `Count` numbers of type T for each team's own use: F takes (team, index, T*).
template <class T, std::size_t Count, KokkosExecutionSpace ExecutionSpace, class F>
void for_each_team_with_scratch(ExecutionSpace const& exec, std::string const& label, std::size_t count, F const& f) {
  if (count == 0) return;
  if constexpr (runs_on_host<ExecutionSpace>) {
    Kokkos::parallel_for(label, Kokkos::RangePolicy<ExecutionSpace, Kokkos::IndexType<std::size_t>>(exec, 0, count),
                         [f](std::size_t i) {
                           alignas(64) T scratch[Count];
                           f(Team<ExecutionSpace>(), i, scratch);
                         });
  } else {
    Kokkos::TeamPolicy<ExecutionSpace> policy(exec, detail::league_size(label, count), 128);
    policy.set_scratch_size(0, Kokkos::PerTeam(static_cast<int>(Count * sizeof(T) + 64)));
    Kokkos::parallel_for(label, policy, detail::DeviceScratchTeamLaunch<ExecutionSpace, T, Count, F>{f});
  }
}

/// Calls f(row, column) for every element of a (rows, columns) index space; columns run fastest.
template <KokkosExecutionSpace ExecutionSpace, class F>
void for_each_element(ExecutionSpace const& exec, std::string const& label, std::size_t rows, std::size_t columns,
                      F const& f) {
  if (rows == 0 || columns == 0) return;
  using Policy = Kokkos::RangePolicy<ExecutionSpace, Kokkos::IndexType<std::size_t>>;
  if constexpr (runs_on_host<ExecutionSpace>) {
    Kokkos::parallel_for(label, Policy(exec, 0, rows), [f, columns](std::size_t row) {
      for (std::size_t column = 0; column < columns; ++column) f(row, column);
    });
  } else {
    Kokkos::parallel_for(label, Policy(exec, 0, rows * columns), detail::RowMajorLoop<F>{f, columns});
  }
}

} // namespace dchag
