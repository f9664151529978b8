// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/channels/tree.hpp>

using namespace dchag;

// A tree that ends with two tokens.
template struct dchag::MixedTree<Level<CrossAttention, 4>, Level<Linear, 2>>;
