// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <optional>

namespace hyperspectral {

/// Bytes of memory that this process held at most at any one time, by the kernel's count (VmHWM); none where it keeps
/// no such count.
std::optional<std::size_t> peak_resident_memory();

/// Makes that count begin again from what is held now, where the kernel can.
void restart_peak_resident_memory();

} // namespace hyperspectral
