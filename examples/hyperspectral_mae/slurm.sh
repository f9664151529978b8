#!/bin/bash
# SPDX-FileCopyrightText: 2026 The dchag authors
# SPDX-License-Identifier: BSD-3-Clause
#
# Trains on nodes with several GPUs, one rank each, under Slurm; goes on where it was when it is submitted again:
#   sbatch --nodes 4 examples/hyperspectral_mae/slurm.sh --data folder/of/cubes --mesh 4x2x2 --model c0@4
#
# The tensor-parallel ranks of a mesh are consecutive, so with a first number that divides the ranks of a node they stay
# within it. PROGRAM=... says where the program is, TASKS_PER_NODE=... how many GPUs a node has.
#SBATCH --job-name=hyperspectral_mae
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --time=04:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
set -euo pipefail

program=${PROGRAM:-build/cuda/examples/hyperspectral_mae/hyperspectral_mae}
if [[ ! -x $program ]]; then
  echo "slurm.sh: there is no program '$program', expected PROGRAM=... to say where it is" >&2
  exit 1
fi

# Each rank sees one GPU and the cores next to it. Slurm sends SIGTERM two minutes before the end (--signal above): every
# rank ends its step, the checkpoint is written, and --resume finds it the next time.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-${SLURM_CPUS_PER_TASK:-1}} OMP_PROC_BIND=${OMP_PROC_BIND:-spread}
srun --ntasks-per-node="${TASKS_PER_NODE:-${SLURM_NTASKS_PER_NODE:-4}}" --gpus-per-task=1 --kill-on-bad-exit=1 \
  "$program" --resume --checkpoint-every 500 "$@"
