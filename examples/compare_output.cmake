# SPDX-FileCopyrightText: 2026 The dchag authors
# SPDX-License-Identifier: BSD-3-Clause
#
# Runs a command and compares what it prints with the comment that ends the source, from its line "// Prints:" on.
#   cmake -DSOURCE=main.cpp -P compare_output.cmake -- <command>...
cmake_minimum_required(VERSION 3.25)

set(command "")
set(behind FALSE)
math(EXPR last "${CMAKE_ARGC} - 1")
foreach(i RANGE ${last})
  if(behind)
    list(APPEND command "${CMAKE_ARGV${i}}")
  elseif(CMAKE_ARGV${i} STREQUAL "--")
    set(behind TRUE)
  endif()
endforeach()

file(READ ${SOURCE} text)
string(FIND "${text}" "\n// Prints:\n" begin REVERSE)
if(begin EQUAL -1)
  message(FATAL_ERROR "${SOURCE} has no line '// Prints:'")
endif()
string(SUBSTRING "${text}" ${begin} -1 expected)
string(REPLACE "\n// Prints:\n" "\n" expected "${expected}")
string(REPLACE "\n//   " "\n" expected "${expected}")
string(STRIP "${expected}" expected)

execute_process(COMMAND ${command} RESULT_VARIABLE result OUTPUT_VARIABLE printed)
string(STRIP "${printed}" printed)
if(NOT result EQUAL 0 OR NOT printed STREQUAL expected)
  message(FATAL_ERROR "ended with ${result} and printed\n${printed}\nexpected\n${expected}")
endif()
