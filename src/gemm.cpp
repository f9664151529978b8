// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#include <dchag/core/compiled.hpp>

#undef DCHAG_KERNEL
#define DCHAG_KERNEL template // what follows is compiled here
#include <dchag/ops/detail/gemm_host.hpp>

namespace dchag::detail {
template <>
void kernels_were_compiled_with_the_same_flags<kernel_flags>() {}
} // namespace dchag::detail
