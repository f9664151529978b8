# SPDX-FileCopyrightText: 2026 The dchag authors
# SPDX-License-Identifier: BSD-3-Clause
#
# What tests/run and the examples' run share. Sourced from the top of the source tree; does nothing by itself.

packages=(
  g++ cmake ninja-build                       # to build
  libtrilinos-kokkos-dev libeigen3-dev        # the library: Kokkos, Eigen,
  libopenmpi-dev openmpi-bin                  # MPI
  nlohmann-json3-dev                          # and JSON
  doctest-dev libbenchmark-dev                # tests, benchmarks
  libcli11-dev libpng-dev                     # examples
)

# What is being done, with the seconds since the start.
say() { printf '[%4d s] %s\n' "$SECONDS" "$*"; }

# Installs those packages that are missing. A second call finds them all and touches nothing.
install_missing() {
  if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    say "no apt-get here: going on with what there is. Needed are a C++20 compiler, CMake 3.25, Kokkos, Eigen, MPI and"
    say "nlohmann-json; doctest for the tests, Google Benchmark for the benchmarks, CLI11 and libpng for the examples."
    return
  fi

  local package missing=()
  for package in "${packages[@]}"; do
    [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] ||
      missing+=("$package")
  done
  if ((${#missing[@]} == 0)); then return; fi

  local as_root=()
  if ((EUID != 0)); then
    if ! sudo -n true 2>/dev/null; then
      echo "These packages are missing: ${missing[*]}" >&2
      echo "As root:  apt-get install --no-install-recommends ${missing[*]}" >&2
      exit 1
    fi
    as_root=(sudo -n)
  fi
  say "installing ${missing[*]}"
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install --yes -qq --no-install-recommends -o Dpkg::Use-Pty=0 "${missing[@]}" >/dev/null
}

# A translation unit takes up to 2.5 GiB: as many jobs as processors, but no more than fit in memory.
# (nproc would take the number of OpenMP's threads for that of the processors.)
cores=$(env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)
build_jobs() {
  local fit=$cores
  if [[ -r /proc/meminfo ]]; then
    fit=$(awk '/^MemAvailable:/ { print int($2 / (2.5 * 1024 * 1024)) }' /proc/meminfo)
  fi
  if ((fit > cores)); then fit=$cores; fi
  echo $((fit > 1 ? fit : 1))
}

# configure_and_build [<targets>]: all of it, or these targets, in build/release.
configure_and_build() {
  # Ninja where there is one; a build folder that exists keeps what it has.
  if [[ -z ${CMAKE_GENERATOR-} ]] && command -v ninja >/dev/null; then export CMAKE_GENERATOR=Ninja; fi
  say "configuring build/release"
  cmake --preset release >/dev/null
  local jobs=${CMAKE_BUILD_PARALLEL_LEVEL:-$(build_jobs)}
  say "building ${*:-everything} with $jobs jobs"
  cmake --build --preset release --parallel "$jobs" ${1:+--target "$@"}
}

# cached <variable> [<build folder>]: its value in the cache of CMake; nothing if it has none.
cached() { sed -n "s/^$1:[A-Z]*=//p" "${2:-build/release}/CMakeCache.txt"; }

# prepare_launch [<build folder>]: fills `launch`, the words that start a program on "$ranks" ranks with the launcher that
# CMake found with the library, and tells every MPI that it may run here.
prepare_launch() {
  local preflags
  read -ra preflags <<<"$(cached MPIEXEC_PREFLAGS "$@" | tr ';' ' ')"
  launch=("$(cached MPIEXEC_EXECUTABLE "$@")" "$(cached MPIEXEC_NUMPROC_FLAG "$@")" "$ranks" ${preflags[@]+"${preflags[@]}"})
  if [[ ! -x ${launch[0]} ]]; then
    echo "CMake found no mpiexec with its MPI: configure with -DMPIEXEC_EXECUTABLE=..." >&2
    exit 1
  fi
  set -a
  source cmake/launch.env
  set +a
}
