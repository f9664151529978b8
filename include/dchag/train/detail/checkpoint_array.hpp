// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <dchag/train/detail/piece.hpp>
#include <dchag/train/dtype.hpp>

namespace dchag::detail {

/// The part of an array that this rank holds: its name, what its numbers are, and the way to them on the host.
struct CheckpointArray {
  std::string name;
  DType dtype;
  Piece piece;
  Range channels; ///< to which the leading axis of the whole belongs, as `ParameterSpec::channels`
  std::function<void(std::function<void(void const*)> const&)> read; ///< calls its argument with the values
  std::function<void(std::function<void(void*)> const&)>
      write; ///< the same, and keeps what it wrote there; the rest stays

  /// Device memory goes through a copy on the host, made for the call.
  template <class Values>
  CheckpointArray(std::string array_name, ParameterSpec const& spec, Values const& values)
      : name(std::move(array_name)), dtype(dtype_of<typename Values::non_const_value_type>), piece(spec),
        channels(spec.channels) {
    require<Error>(values.extent(0) == piece.size(), "Checkpoint: '", shortened(name), "' has ", values.extent(0),
                   " values here, expected ", piece.size(), " as its spec says");
    require<Error>(channels.size() == 0 || (!piece.whole().empty() && piece.whole()[0] % channels.size() == 0),
                   "Checkpoint: '", name, "' of shape ", shape_text(piece.whole()), " belongs to ", channels.size(),
                   " channels, expected a leading axis that is a multiple of them");
    read = [values](auto const& f) {
      auto const host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), values);
      f(host.data());
    };
    write = [values](auto const& f) {
      auto const host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), values);
      f(host.data());
      Kokkos::deep_copy(values, host);
    };
  }
};

} // namespace dchag::detail
