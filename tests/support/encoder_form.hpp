// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/models/encoder.hpp>

namespace dchag::test {

/// How these ranks share an encoder.
template <EncoderForm Form>
Form form_on(comm::Communicator const& tensor) {
  if constexpr (std::same_as<Form, Replicated>)
    return Form();
  else
    return Form(tensor);
}

} // namespace dchag::test
