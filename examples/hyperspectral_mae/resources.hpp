// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <optional>
#include <string>

namespace hyperspectral {

/// Bytes of memory that this process held at most at any one time, by the kernel's count (VmHWM); none where it keeps
/// no such count.
std::optional<std::size_t> peak_resident_memory();

/// Bytes of memory that this process may have: the machine's, or its limit (`ulimit -v`) if that is less; none where
/// the system does not tell.
std::optional<std::size_t> physical_memory();

/// For a sentence about a lack of memory: "this process has 310 MiB, the machine 2000 MiB more", or what its limit is.
/// Empty where the system does not tell.
std::string memory_text();

/// Makes that count begin again from what is held now, where the kernel can.
void restart_peak_resident_memory();

} // namespace hyperspectral
