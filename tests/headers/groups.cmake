# SPDX-FileCopyrightText: 2026 The dchag authors
# SPDX-License-Identifier: BSD-3-Clause
#
# Groups the headers by those of Kokkos, Eigen, MPI and JSON that they include, themselves or through others of ours:
#   groups                 names of the groups
#   names_of_<group>       its headers, as dchag/<room>/<name>.hpp
#   precompiled_<group>    what they include of those, as <name>
# Reads `include_folder`, which holds dchag/. As a script, `cmake -Dinclude_folder=... -Dknown=<file> -P`, it fails where the
# headers are not grouped as that file says, which was written when CMake ran.
cmake_minimum_required(VERSION 3.25)
set(from_elsewhere Kokkos_Core.hpp Eigen/Core mpi.h nlohmann/json.hpp)
file(GLOB_RECURSE names RELATIVE ${include_folder} ${include_folder}/dchag/*.hpp)
foreach(name IN LISTS names)
  file(STRINGS ${include_folder}/${name} lines REGEX "^# *include <")
  string(REGEX MATCHALL "<[^>]+>" includes "${lines}")
  list(TRANSFORM includes REPLACE "[<>]" "")
  set(includes_${name} ${includes})
endforeach()

set(groups)
set(grouping)
foreach(name IN LISTS names)
  set(reached ${name})
  set(next ${name})
  while(next)
    list(POP_FRONT next one)
    set(found ${includes_${one}})
    list(REMOVE_ITEM found "" ${reached})
    list(APPEND reached ${found})
    list(APPEND next ${found})
  endwhile()
  set(group alone)
  set(precompiled)
  foreach(header IN LISTS from_elsewhere)
    if(header IN_LIST reached)
      list(APPEND precompiled <${header}>)
      string(MAKE_C_IDENTIFIER ${header} part)
      string(APPEND group _${part})
    endif()
  endforeach()
  set(precompiled_${group} ${precompiled})
  list(APPEND groups ${group})
  list(APPEND names_of_${group} ${name})
  string(APPEND grouping "${name}: ${group}\n")
endforeach()
list(REMOVE_DUPLICATES groups)

if(CMAKE_SCRIPT_MODE_FILE)
  file(READ ${known} known_grouping)
  if(NOT grouping STREQUAL known_grouping)
    message(FATAL_ERROR "headers: what they include has changed since CMake ran, expected ${known} to tell the same: run "
                        "CMake again on the build folder")
  endif()
endif()
