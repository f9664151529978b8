// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/comm/agree.hpp>

#include "data/error.hpp"
#include "resources.hpp"

#include <new>

namespace hyperspectral {

/// What f returns. A lack of memory on this rank alone also says how much this process has.
template <class F>
auto with_memory_text(F const& f) -> std::invoke_result_t<F const&> {
  auto const lacking = [](std::string const& sentence) {
    auto const text = memory_text();
    return dchag::MemoryError(text.empty() ? sentence : sentence + "; " + text);
  };
  try {
    return f();
  } catch (dchag::comm::ThrownTogether const&) {
    throw;
  } catch (std::bad_alloc const&) {
    throw lacking(dchag::comm::detail::current_sentence());
  } catch (dchag::MemoryError const& error) {
    throw lacking(error.what());
  } catch (DataMemoryError const& error) {
    throw lacking(error.what());
  }
}

/// A part of a run in which ranks send to each other: the error of a rank that fails alone says which rank it was, what
/// it was about, and for a lack of memory how much there is.
template <class F>
auto stage(dchag::comm::Communicator const& communicator, std::string const& name, F const& f)
    -> std::invoke_result_t<F const&> {
  return dchag::comm::in_stage(communicator, name, [&] { return with_memory_text(f); });
}

/// A part of a run in which they do not: all ranks throw what one of them throws.
template <class F>
auto local_stage(dchag::comm::Communicator const& communicator, std::string const& name, F const& f)
    -> std::invoke_result_t<F const&> {
  return dchag::comm::collectively(communicator, [&] {
    try {
      return with_memory_text(f);
    } catch (dchag::MemoryError const& error) {
      throw dchag::MemoryError(name + ": " + error.what());
    }
  });
}

} // namespace hyperspectral
