// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/train/metadata.hpp>

#include "data/dataset.hpp"
#include "options.hpp"

#include <filesystem>
#include <optional>
#include <string>

namespace hyperspectral {

/// Where a training stands, besides what its model and optimizer hold. Batches, masks and dropout are drawn by the
/// number of the step, so this is all the random state there is.
struct ProgressState {
  std::size_t step = 0;   ///< steps done
  double loss_sum = 0;    ///< of the losses since the last evaluation
  std::size_t summed = 0; ///< how many
  std::optional<std::size_t> last_row =
      0; ///< step of the last row of the curve that stays; unknown in older checkpoints
};

/// Whether two checksums tell of the same data, which compilers and kinds of processors sum up with other roundings.
bool same_checksum(double a, double b);

/// As metadata of a checkpoint, with what a run that goes on must share: the options that decide what is learned, and
/// the data; without those that the description of the model in the checkpoint has.
dchag::Metadata to_metadata(ProgressState const& state, std::string const& model, Options const& options,
                            Dataset const& data);

/// Throws: dchag::Error if the run that wrote it had other options or data.
ProgressState from_metadata(dchag::Metadata const& metadata, std::string const& model, Options const& options,
                            Dataset const& data);

/// Takes the rows of later steps, and a torn last one, out of the table of a curve, whose first column is the step: the
/// new table takes the old one's place when it is on the disk. Returns the rows that stay, each a line of numbers; none
/// if there is no table. Throws: dchag::SystemError if it cannot be read or written; it stays as it was then.
std::string cut_curve(std::filesystem::path const& table, std::size_t step);

} // namespace hyperspectral
