// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/core/bfloat16.hpp>

#include <concepts>

namespace dchag {

/// The aggregation as it was published: the tokens of all channels are stored, and of a cross-attention their keys and
/// values too, some 3 C D numbers a position. Here to be measured against.
struct Materialized {};

/// The same function without a stored token, but for those that `DistributedTokenization` sends: the first level of a
/// tree is one with the tokenizer and keeps D + 2 h numbers a position whatever C is, the levels above have neither
/// keys nor values.
struct Fused {};

/// The same with the tokens that are made on the way kept in `bfloat16` and everything summed in float: for devices,
/// whose products take half the time. On hosts it gives the same numbers, slowly.
struct FusedBfloat16 {};

template <class F>
concept FusedForm = std::same_as<F, Fused> || std::same_as<F, FusedBfloat16>;
template <class F>
concept AggregationForm = std::same_as<F, Materialized> || FusedForm<F>;

/// What the tokens of a fused form are made of, where weights and sums are of T.
template <FusedForm Form, class T>
using TokenType = std::conditional_t<std::same_as<Form, FusedBfloat16>, bfloat16, T>;

} // namespace dchag
