// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/ops/gemm.hpp>

#undef DCHAG_KERNEL
#define DCHAG_KERNEL template // what follows is compiled here
#include <dchag/ops/attention.hpp>
#include <dchag/ops/attention_pooling.hpp>
#include <dchag/ops/dropout.hpp>
#include <dchag/ops/gelu.hpp>
#include <dchag/ops/layer_norm.hpp>
#include <dchag/ops/linear.hpp>
#include <dchag/ops/losses.hpp>
#include <dchag/ops/patches.hpp>
#include <dchag/ops/rows.hpp>
