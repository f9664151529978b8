// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/error.hpp>

#include <string>

namespace dchag::test {

/// What a call threw on this rank, if it is such an error; empty if it threw nothing.
template <class Thrown = Error, class F>
std::string sentence_of(F const& f) {
  try {
    f();
  } catch (Thrown const& error) {
    return error.what();
  }
  return "";
}

/// The sentence without the rank that says it, where it begins with one: "rank 1 of 2: ".
inline std::string without_rank(std::string const& sentence) {
  return sentence.rfind("rank ", 0) == 0 ? sentence.substr(sentence.find(": ") + 2) : sentence;
}

} // namespace dchag::test
