// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <concepts>
#include <utility>

namespace dchag {

namespace detail {
/// While it lives, parameters that this thread makes are deferred.
class Deferral {
public:
  Deferral() { ++s_depth; }
  Deferral(Deferral const&) = delete;
  Deferral& operator=(Deferral const&) = delete;
  ~Deferral() { --s_depth; }

  static bool in_force() { return s_depth > 0; }

private:
  inline static thread_local int s_depth = 0;
};
} // namespace detail

/// What `make()` returns, made without memory for its parameters: each remembers how it begins and holds nothing until
/// `parallel::DataParallel` gives it a place or `Parameter::materialize` makes one. So a model can be made that fits
/// only when it is sharded, and it begins as it would have otherwise, bit for bit:
///
///     auto model = deferred([&] { return Model(exec, config); });
///     parallel::DataParallel training(exec, mesh, model, parallel::Sharding::full); // its shards, and never more
///
/// Concerns this thread only, may be nested, and ends with what `make` throws.
template <std::invocable Make>
[[nodiscard]] decltype(auto) deferred(Make&& make) {
  detail::Deferral const deferral;
  return std::forward<Make>(make)();
}

} // namespace dchag
