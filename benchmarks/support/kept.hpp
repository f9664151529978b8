// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <memory>
#include <string>

namespace dchag::bench {

namespace detail {
struct Kept {
  std::string name;
  std::shared_ptr<void> object;
};
inline Kept& kept() {
  static Kept one;
  return one;
}
} // namespace detail

/// What the benchmark of this name works on, made in its first call and kept until another benchmark asks: the
/// framework calls a benchmark several times over, and models take longer to make than to run.
template <class Object, class Make>
Object& kept(std::string const& name, Make const& make) {
  auto& one = detail::kept();
  if (one.name != name) {
    one.object.reset(); // free first: two need not fit
    one = {name, std::shared_ptr<Object>(make())};
  }
  return *static_cast<Object*>(one.object.get());
}

inline void forget_kept() {
  detail::kept() = {};
}

} // namespace dchag::bench
