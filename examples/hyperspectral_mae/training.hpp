// SPDX-FileCopyrightText: 2026 The dchag authors
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "data/dataset.hpp"
#include "model.hpp"

#include <string>
#include <vector>

namespace hyperspectral {

/// The held-out cubes under fixed masks, and what interpolation reaches on them.
struct Evaluation {
  std::vector<Image> images;
  Model::Visible visible;
  std::vector<float> batch; // (B, C, H, W)
  double visible_mean = 0;  // masked MSE of filling with the mean of the visible patches
  double by_distance = 0;   // and by inverse-distance interpolation
};

Evaluation make_evaluation(Dataset const& data, Options const& options);

/// What became of a model's training, the parts before it was resumed included.
struct Curve {
  std::string model;
  std::vector<double> steps, train_loss, test_loss;
  double seconds = 0;
  double step_seconds = 0; ///< median of this run's steps, without evaluations and the making of batches; the slowest
                           ///< rank's; 0 where there was nothing left to do
  std::size_t peak_bytes = 0; ///< resident memory of the rank that held the most; 0 where the system does not tell
  bool stopped = false;       ///< by a signal, before the last step
};

/// Makes SIGINT, SIGTERM and SIGUSR1 end the training after the step under way. An `mpiexec` hands on SIGUSR1, where
/// Open MPI's answers the other two by killing its ranks a second later.
void catch_signals();

/// Trains a model; rank 0 prints the progress and writes `<out>/curve_<model>.csv` as it goes.
/// Collective. Throws: dchag::Error, the same on every rank, when the loss is not finite (with the step and the norms
/// of the parameters) or a file cannot be written.
Curve train(Model& model, std::string const& name, Dataset const& data, Evaluation const& evaluation,
            Options const& options, dchag::comm::Communicator const& communicator);

} // namespace hyperspectral
