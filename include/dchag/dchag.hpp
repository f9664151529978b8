// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// \file
/// Everything, in the order of the data: an image with many channels goes in at one end, a loss comes out at the other.
///
///     image --tokenizer--> tokens --tree--> one token per group --all_gather--> G tokens --final--> fused --encoder-->
///     (B, c, H, W)         (c, N, D)        (g, N, D)                           (G, N, D)           (N, D)
///
///     latent --head--> prediction --loss
///     (B, L, D)        (B, L, C s)
///
/// Letters: B batch, C channels (c on this rank), G groups (g on this rank), P ranks, p patch edge, s = p * p pixels of
/// a patch, L positions, N = B * L, D width, h heads. Tokens lie channels first, so that a rank's tokens are
/// contiguous.

// what everything is made of
#include <dchag/core/check.hpp>
#include <dchag/core/concepts.hpp>
#include <dchag/core/description.hpp>
#include <dchag/core/error.hpp>
#include <dchag/core/parallel.hpp>
#include <dchag/core/random.hpp>
#include <dchag/core/range.hpp>
#include <dchag/core/tensor.hpp>
#include <dchag/core/workspace.hpp>
#include <dchag/layers/deferred.hpp>
#include <dchag/layers/layer.hpp>
#include <dchag/layers/parameter.hpp>
#include <dchag/layers/unit.hpp>

// ranks
#include <dchag/comm/agree.hpp>
#include <dchag/comm/collectives.hpp>
#include <dchag/comm/communicator.hpp>
#include <dchag/comm/gather_gradient.hpp>
#include <dchag/comm/mesh.hpp>
#include <dchag/comm/parts.hpp>
#include <dchag/comm/pending.hpp>
#include <dchag/comm/session.hpp>
#include <dchag/comm/texts.hpp>

// image -> tokens -> one token per position
#include <dchag/channels/any_aggregator.hpp>
#include <dchag/channels/channel_aggregator.hpp>
#include <dchag/channels/channel_set.hpp>
#include <dchag/channels/cross_attention.hpp>
#include <dchag/channels/distributed_aggregator.hpp>
#include <dchag/channels/distributed_tokenization.hpp>
#include <dchag/channels/flat_aggregator.hpp>
#include <dchag/channels/head_shared.hpp>
#include <dchag/channels/image.hpp>
#include <dchag/channels/linear.hpp>
#include <dchag/channels/partition.hpp>
#include <dchag/channels/tensor_parallel_aggregator.hpp>
#include <dchag/channels/tokenizer.hpp>
#include <dchag/channels/tree.hpp>

// one token per position -> latent -> prediction -> loss
#include <dchag/layers/encoder_block.hpp>
#include <dchag/models/encoder.hpp>
#include <dchag/models/masked_autoencoder.hpp>
#include <dchag/models/prediction_head.hpp>
#include <dchag/ops/losses.hpp>
#include <dchag/parallel/encoder_block.hpp>
#include <dchag/parallel/tensor_parallel.hpp>

// samples and parameters over ranks
#include <dchag/parallel/data_parallel.hpp>
#include <dchag/parallel/gradient_sum.hpp>
#include <dchag/parallel/sharding.hpp>

// loss -> better parameters
#include <dchag/train/adamw.hpp>
#include <dchag/train/checkpoint.hpp>
#include <dchag/train/checkpoint_folder.hpp>
#include <dchag/train/clipping.hpp>
#include <dchag/train/schedule.hpp>

// sizes -> what a step will hold
#include <dchag/plan/memory.hpp>
