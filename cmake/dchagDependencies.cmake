# SPDX-FileCopyrightText: 2026 The dchag authors
# SPDX-License-Identifier: BSD-3-Clause
#
# Finds what the headers need: Kokkos, Eigen, MPI, JSON. Used by this project's own build and, installed beside
# dchagConfig.cmake, by its consumers.
include(CMakeFindDependencyMacro)

# A consumer's find_package(dchag) says itself whether it can do without; this project's build cannot.
macro(_dchag_find)
  if(CMAKE_FIND_PACKAGE_NAME STREQUAL "dchag")
    find_dependency(${ARGN})
  else()
    find_package(${ARGN} REQUIRED)
  endif()
endmacro()

# No version in the call: Debian's version file rejects ranges and every request but its own.
_dchag_find(Kokkos)
if(Kokkos_VERSION AND Kokkos_VERSION VERSION_LESS 3.4)
  set(_dchag_sentence "dchag needs Kokkos 3.4 or newer, found ${Kokkos_VERSION} in ${Kokkos_DIR}")
  if(CMAKE_FIND_PACKAGE_NAME STREQUAL "dchag")
    set(dchag_NOT_FOUND_MESSAGE "${_dchag_sentence}")
    set(dchag_FOUND FALSE)
    return()
  endif()
  message(FATAL_ERROR "${_dchag_sentence}")
endif()

# Debian's target names an include directory that its package does not ship.
get_target_property(_dchag_folders Kokkos::kokkos INTERFACE_INCLUDE_DIRECTORIES)
foreach(_dchag_folder IN LISTS _dchag_folders)
  if(IS_ABSOLUTE "${_dchag_folder}" AND NOT EXISTS "${_dchag_folder}/Kokkos_Core.hpp" AND Kokkos_INCLUDE_DIRS)
    set_target_properties(Kokkos::kokkos PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${Kokkos_INCLUDE_DIRS}")
    break()
  endif()
endforeach()
unset(_dchag_folders)
unset(_dchag_folder)

_dchag_find(Eigen3 3.4)
# CMake looks for the launcher by itself, and may find another MPI's: that of a given compiler wrapper lies beside it, with
# the same ending (mpicxx.mpich and mpiexec.mpich).
if(MPI_CXX_COMPILER AND NOT MPIEXEC_EXECUTABLE)
  find_program(_dchag_wrapper NAMES "${MPI_CXX_COMPILER}" NO_CACHE)
  cmake_path(GET _dchag_wrapper EXTENSION LAST_ONLY _dchag_ending)
  cmake_path(REPLACE_FILENAME _dchag_wrapper "mpiexec${_dchag_ending}" OUTPUT_VARIABLE _dchag_launcher)
  if(EXISTS "${_dchag_launcher}")
    set(MPIEXEC_EXECUTABLE "${_dchag_launcher}" CACHE FILEPATH "Launcher of the MPI whose wrapper is MPI_CXX_COMPILER")
  endif()
  unset(_dchag_wrapper)
  unset(_dchag_ending)
  unset(_dchag_launcher)
endif()
_dchag_find(MPI COMPONENTS CXX)
_dchag_find(nlohmann_json 3.10)
