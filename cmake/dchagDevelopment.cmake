# SPDX-FileCopyrightText: 2026 The dchag authors
# SPDX-License-Identifier: BSD-3-Clause
#
# How this project builds its own programs. Nothing here reaches a consumer of dchag::dchag or a project around this one.
# Included after dchagDependencies.cmake, which knows what Kokkos was built for.
if(PROJECT_IS_TOP_LEVEL AND NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()
option(DCHAG_NATIVE "Compile for this machine's processor (worth five times in the products)" ON)
option(DCHAG_UNITY "Compile source files that instantiate the same templates together" ON)
option(DCHAG_WERROR "Turn warnings into errors" OFF)
set(DCHAG_SANITIZE "" CACHE STRING "Sanitizers, as in -fsanitize=...")
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

# The same flags for every translation unit: Eigen's alignment is part of the ABI.
add_compile_options(-Wall -Wextra -Wshadow -fno-math-errno -fno-trapping-math)
# nvcc (behind Kokkos' nvcc_wrapper or kokkos_launch_compiler) hands the host compiler sources of its own making, full of
# GNU line directives and implicit conversions.
set(dchag_nvcc OFF)
if(Kokkos_DEVICES MATCHES "CUDA" AND NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  set(dchag_nvcc ON)
endif()
if(NOT dchag_nvcc)
  add_compile_options(-Wpedantic -Wconversion)
endif()
# Nobody here uses MPI's bindings for C++, which MPI has given up; their headers take half a second a unit.
add_compile_definitions(OMPI_SKIP_MPICXX MPICH_SKIP_MPICXX)
if(DCHAG_NATIVE)
  add_compile_options(-march=native)
endif()
if(DCHAG_WERROR)
  add_compile_options(-Werror)
endif()
if(DCHAG_SANITIZE)
  add_compile_options(-fsanitize=${DCHAG_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${DCHAG_SANITIZE})
endif()

# For what is compiled to see whether it compiles: nothing is optimised, and no object comes of it. nvcc's drivers want one.
set(dchag_syntax_only
  $<$<AND:$<CXX_COMPILER_ID:GNU,Clang,AppleClang,IntelLLVM>,$<NOT:$<BOOL:${dchag_nvcc}>>>:-fsyntax-only>)
# Template code takes most of the build's time: half of it at -O1, and what is tested is the same.
set(dchag_test_options $<$<AND:$<CXX_COMPILER_ID:GNU,Clang>,$<CONFIG:Release>>:-O1>)

# What the launchers are told.
file(STRINGS ${CMAKE_CURRENT_LIST_DIR}/launch.env dchag_launch_environment REGEX "^[A-Z]")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/launch.env)

# dchag_precompile(<target> [TESTED]): gives the target's files the headers of Kokkos, Eigen, MPI and JSON precompiled,
# which take 3 s in each. TESTED: its options are ${dchag_test_options}, which have to be the same. A file may then forget to
# include one of them; that headers do not is tested.
function(dchag_precompile target)
  if(dchag_nvcc)
    return()
  endif()
  set(carrier dchag_precompiled)
  if("TESTED" IN_LIST ARGN)
    set(carrier dchag_precompiled_tested)
  endif()
  if(NOT TARGET ${carrier})
    file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/${carrier}.cpp CONTENT "")
    add_library(${carrier} OBJECT EXCLUDE_FROM_ALL ${PROJECT_BINARY_DIR}/${carrier}.cpp)
    target_link_libraries(${carrier} PRIVATE dchag::dchag)
    target_precompile_headers(${carrier} PRIVATE <Kokkos_Core.hpp> <Eigen/Core> <mpi.h> <nlohmann/json.hpp>)
    if("TESTED" IN_LIST ARGN)
      target_compile_options(${carrier} PRIVATE ${dchag_test_options})
    endif()
  endif()
  target_precompile_headers(${target} REUSE_FROM ${carrier})
endfunction()

# dchag_add_mpi_test(<name> <ranks> <command>...): runs the command under the launcher on that many ranks, with a timeout.
# Tests of one rank run without the launcher, so that a debugger can be put in front of them. What needs MPI has the label
# `mpi`: it is what tests/mpis runs with other MPIs.
function(dchag_add_mpi_test name ranks)
  if(ranks EQUAL 1)
    add_test(NAME ${name} COMMAND ${ARGN})
  else()
    add_test(NAME ${name} COMMAND ${MPIEXEC_EXECUTABLE} ${MPIEXEC_NUMPROC_FLAG} ${ranks} ${MPIEXEC_PREFLAGS} ${ARGN})
    set_property(TEST ${name} PROPERTY LABELS mpi)
  endif()
  # Threads and ranks that wait must not spin: their product may be more than there are cores.
  set_tests_properties(${name} PROPERTIES
    PROCESSORS ${ranks} TIMEOUT 300 ENVIRONMENT "OMP_WAIT_POLICY=passive;${dchag_launch_environment}")
endfunction()
