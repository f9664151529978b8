# SPDX-FileCopyrightText: 2026 The dchag authors
# SPDX-License-Identifier: BSD-3-Clause
#
# Finds what the headers need: Kokkos, Eigen, MPI. Used by this project's own build and, installed beside
# dchagConfig.cmake, by its consumers.
include(CMakeFindDependencyMacro)

# No version in the call: Debian's version file rejects ranges and every request but its own.
find_dependency(Kokkos)
if(Kokkos_VERSION AND Kokkos_VERSION VERSION_LESS 3.4)
  message(FATAL_ERROR "dchag needs Kokkos 3.4 or newer, found ${Kokkos_VERSION} in ${Kokkos_DIR}")
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

find_dependency(Eigen3)
find_dependency(MPI COMPONENTS CXX)
