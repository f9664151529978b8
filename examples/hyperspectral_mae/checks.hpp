// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "options.hpp"

#include <cstddef>
#include <filesystem>

namespace hyperspectral {

/// Throws dchag::Error, by the options' names, unless the options fit each other and so many ranks: before any data are
/// read. Each is in its range already.
void check_options(Options const& options, int ranks);

/// Throws dchag::Error, by the options' names, unless each model can be made for data of so many channels, and this
/// machine has the memory to train it and to test it on so many cubes at once.
void check_models(Options const& options, std::size_t channels, std::size_t tested);

/// Makes the folder that `--out` names, if it is not there. Throws: dchag::Error if it cannot be made or written to.
void make_folder(std::filesystem::path const& out);

} // namespace hyperspectral
