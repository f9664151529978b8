// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/ops/gemm.hpp>

#undef DCHAG_KERNEL
#define DCHAG_KERNEL template // what follows is compiled here
#include <dchag/ops/detail/sum_host.hpp>
