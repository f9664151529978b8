#!/bin/bash
# SPDX-FileCopyrightText: 2026 The dchag authors
# SPDX-License-Identifier: BSD-3-Clause
#
# Trains on nodes with several GPUs, one rank each, under Slurm; goes on where it was when it is submitted again:
#   sbatch --nodes 4 examples/hyperspectral_mae/slurm.sh --data folder/of/cubes --mesh 4x2x2 --model c0@4
#
# The tensor-parallel ranks of a mesh are consecutive, so with a first number that divides the ranks of a node they stay
# within it. PROGRAM=... says where the program is, TASKS_PER_NODE=... how many GPUs a node has.
#
# srun must know how to start what the program's MPI was built for: SLURM_MPI_TYPE=... is one of `srun --mpi=list`, pmix for
# Open MPI, pmi2 for MPICH and Intel MPI, cray_shasta for Cray's. With a wrong one the program says that its ranks are
# alone. LAUNCHER=<path of its MPI's mpiexec> does without srun: every mpiexec finds Slurm's nodes by itself.
#SBATCH --job-name=hyperspectral_mae
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --time=04:00:00
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
set -euo pipefail

program=${PROGRAM:-build/cuda/examples/hyperspectral_mae/hyperspectral_mae}
if [[ ! -x $program ]]; then
  echo "slurm.sh: there is no program '$program', expected PROGRAM=... to say where it is" >&2
  exit 1
fi

tasks=${TASKS_PER_NODE:-${SLURM_NTASKS_PER_NODE:-4}} # of a node
launcher=${LAUNCHER:-srun}
if [[ ${launcher##*/} == srun* ]]; then
  # Each rank sees one GPU and the cores next to it.
  launch=("$launcher" --ntasks-per-node="$tasks" --gpus-per-task=1 --kill-on-bad-exit=1)
else
  # Each rank sees all GPUs of its node; Kokkos takes them in the order of its ranks.
  launch=("$launcher" -n "$((tasks * ${SLURM_JOB_NUM_NODES:-1}))")
fi

export OMP_NUM_THREADS=${OMP_NUM_THREADS:-${SLURM_CPUS_PER_TASK:-1}} OMP_PROC_BIND=${OMP_PROC_BIND:-spread}
# Slurm sends SIGUSR1 to this script two minutes before the end (--signal above). srun and every mpiexec hand it on: each
# rank ends its step, the checkpoint is written, and --resume finds it the next time.
ranks=
trap 'if [[ -n $ranks ]]; then kill -USR1 "$ranks" 2>/dev/null || true; fi' USR1 TERM
"${launch[@]}" "$program" --resume --checkpoint-every 500 "$@" &
ranks=$!
while kill -0 "$ranks" 2>/dev/null; do # a signal ends wait, not what it waits for
  wait "$ranks" || true
done
wait "$ranks"
