# SPDX-FileCopyrightText: 2026 The dchag authors
# SPDX-License-Identifier: BSD-3-Clause
#
# Checks an installation: every header and nothing else, and CMake files that can be moved to another place.
#   cmake -DINCLUDE=<include folder of the sources> -DPREFIX=<of the installation> -DFORBIDDEN=<folders>
#         -P files.cmake
cmake_minimum_required(VERSION 3.25)

file(GLOB_RECURSE expected RELATIVE ${INCLUDE} ${INCLUDE}/*)
file(GLOB_RECURSE found RELATIVE ${PREFIX}/include ${PREFIX}/include/*)
if(NOT expected OR NOT expected STREQUAL found)
  set(missing ${expected})
  list(REMOVE_ITEM missing "" ${found})
  set(surplus ${found})
  list(REMOVE_ITEM surplus "" ${expected})
  message(FATAL_ERROR "installed headers: missing are '${missing}', surplus are '${surplus}'")
endif()

# The kernels, if they are installed at all, and nothing else that is compiled.
file(GLOB_RECURSE libraries RELATIVE ${PREFIX} ${PREFIX}/lib*/*.a ${PREFIX}/lib*/*.so)
if(libraries AND NOT libraries MATCHES "^lib[^;]*/libdchag_kernels\\.a$")
  message(FATAL_ERROR "installed libraries: found '${libraries}', expected libdchag_kernels.a")
endif()

file(GLOB_RECURSE cmake_files ${PREFIX}/*.cmake)
foreach(name IN ITEMS dchagConfig dchagConfigVersion dchagDependencies dchagTargets)
  if(NOT cmake_files MATCHES "/${name}\\.cmake")
    message(FATAL_ERROR "installed CMake files: ${name}.cmake is missing")
  endif()
endforeach()
foreach(file IN LISTS cmake_files)
  file(READ ${file} text)
  string(REGEX REPLACE "(^|\n)[ \t]*#[^\n]*" "\\1" text "${text}")
  foreach(folder IN LISTS FORBIDDEN PREFIX)
    string(FIND "${text}" "${folder}" where)
    if(NOT where EQUAL -1)
      message(SEND_ERROR "${file} names ${folder}")
    endif()
  endforeach()
  # Whatever else begins with a slash would be a place on this machine.
  string(REGEX MATCHALL "[\" ;=>](/[A-Za-z0-9_][^\" ;\n]*)" paths "${text}")
  if(paths)
    message(SEND_ERROR "${file} holds absolute paths: ${paths}")
  endif()
endforeach()
