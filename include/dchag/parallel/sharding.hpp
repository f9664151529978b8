// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

namespace dchag::parallel {

/// What the S ranks that share one copy of the parameters (`Mesh::shard`) divide among themselves. If S is 1, all
/// policies are `none`.
///
/// Numbers that a rank holds, of N parameters (U in the largest unit, R in no unit, M the larger of U and R), for
/// training with AdamW:
///
///     policy      values                  gradients                         moments
///     none        N                       N                                 2 N
///     optimizer   N                       N + 2 M / S                       2 N / S
///     full        (N - R) / S + R + 2 U   (N - R) / S + R + 2 U + 2 M / S   2 N / S
///
/// Collectives of a step of K micro-batches, for n units with parameters (those of no unit count as one more, r = 1, or
/// r = 0 if there are none), in numbers that each rank gives; a group of one rank sends nothing. The numbers of a unit
/// are padded (see `DataParallel`). A of them are replicated over the tensor-parallel ranks, with whole or partial
/// gradients, and the others distributed; in a unit in which no rank has distributed ones, and where P is 1, all are in
/// A. Of a (d) units, this rank's shard has numbers of the first (second) kind:
///
///     policy      over        calls                               numbers given
///     none        all ranks   a all-reduce                        A
///                 replicas    d all-reduce                        N - A
///     optimizer   shard       n + r reduce-scatter                N
///                             n + r all-gather                    N / S
///                 holders     a all-reduce                        A, those in this rank's shard
///                 data        d all-reduce                        N - A, those in this rank's shard
///     full        shard       K n + r reduce-scatter              K (N - R) + R
///                             n + (2 K - 1) max(n - 2, 0)         (N - R + K (N - R - last two units)
///                                 + r all-gather                   + (K - 1) (N - R - first two units) + R) / S
///                 holders     a all-reduce                        A, those in this rank's shard
///                 data        d all-reduce                        N - A, those in this rank's shard
///     full, or    all ranks   1 all-reduce, in begin_step         2 of 8 bytes: all say the same K
///     tensor > 1
///     any         all ranks   1 all-reduce, in finish_backward    6 doubles: passes made, and what they count
///
/// The all-gathers are fewer than two for each unit and micro-batch because the last two units of a forward pass are
/// still there when the backward pass begins, and the first two when the next forward pass does. With `full`, the
/// parameters of no unit (R) are treated as `optimizer` does.
///
/// The replicated numbers are summed over the tensor-parallel ranks too, which need not round alike: so these keep
/// equal values. That costs no message where replicas sum them anyway, and takes the place of a sum of partial
/// gradients; on the ranks of one tensor group alone it is an all-reduce of A, behind the backward pass.
///
/// Source: Rajbhandari et al., ZeRO, SC 2020 (stages 0, 1 and 3); Zhao et al., PyTorch FSDP, VLDB 2023.
enum class Sharding {
  none,      ///< every replica holds everything: plain data parallelism
  optimizer, ///< each shard updates its part of the values, which all hold (ZeRO-1)
  full       ///< each shard holds its part; a unit's values are whole while it is used (ZeRO-3, FSDP)
};

} // namespace dchag::parallel
