// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdexcept>

namespace hyperspectral {

/// A picture or curve that cannot be drawn or written; what() is one sentence that names the file or the sizes.
class PictureError : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

} // namespace hyperspectral
