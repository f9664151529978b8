// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

namespace dchag::bench {

/// A link of each rank to the others that moves what the library begins (`comm/pending.hpp`) at a rate of one's choice,
/// by itself, whatever the rank does: a collective is done at the earliest when the link has moved its bytes, one
/// collective after the other. Processes of one machine share memory and processors, where nothing moves by itself;
/// what a schedule hides behind its work can be seen only with such a link. It stands between the library and MPI.
///
/// Bytes on P ranks as in rings, which no collective beats by bandwidth: (P - 1) / P of the whole array for an
/// all-gather and a reduce-scatter, twice that for an all-reduce.
class ModelledLink {
public:
  /// Moves so many bytes a second from now on.
  static void open(double bytes_per_second);
  /// Moves everything at once, as before.
  static void close();
  /// Seconds for which the link was busy since the last call.
  static double take_busy_seconds();
};

} // namespace dchag::bench
