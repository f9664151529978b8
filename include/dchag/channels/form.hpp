// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <concepts>

namespace dchag {

/// The aggregation as it was published: the tokens of all channels are stored, and of a cross-attention their keys and
/// values too, some 3 C D numbers a position. Here to be measured against.
struct Materialized {};

/// The same function without a stored token: the first level of a tree is one with the tokenizer and keeps D + 2 h
/// numbers a position whatever C is, the levels above have neither keys nor values.
struct Fused {};

template <class F>
concept AggregationForm = std::same_as<F, Materialized> || std::same_as<F, Fused>;

} // namespace dchag
