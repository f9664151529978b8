# SPDX-FileCopyrightText: 2026 The dchag authors
# SPDX-License-Identifier: BSD-3-Clause
#
# cmake -DCOMMAND=<words> -DRESULT=<number, "failure", or "any_failure"> -DTEXT=<regex> [-DFILES=<files or folders that it must make>] -P expect.cmake
#
# Runs a command and holds its exit status and what it prints against what is expected, once and not once a rank.
# failure: an exit status other than 0, after an orderly end of all ranks. any_failure: one that may have aborted ranks too.
foreach(file IN LISTS FILES)
  file(REMOVE_RECURSE ${file})
endforeach()
execute_process(COMMAND ${COMMAND} RESULT_VARIABLE result OUTPUT_VARIABLE text ERROR_VARIABLE text TIMEOUT 240)
message("${text}")
string(REPLACE ";" "," text "${text}") # a semicolon would make two matches of one: TEXT has a comma in its place
if(RESULT MATCHES "^(failure|any_failure)$")
  if(NOT result MATCHES "^[1-9][0-9]*$")
    message(FATAL_ERROR "ended with '${result}', expected an exit status other than 0")
  endif()
elseif(NOT result EQUAL RESULT)
  message(FATAL_ERROR "ended with '${result}', expected ${RESULT}")
endif()
string(REGEX MATCHALL "${TEXT}" found "${text}")
list(LENGTH found count)
if(NOT count EQUAL 1)
  message(FATAL_ERROR "printed '${TEXT}' ${count} times, expected once")
endif()
string(REGEX MATCHALL "(^|\n)error: " errors "${text}")
list(LENGTH errors count)
if(count GREATER 1)
  message(FATAL_ERROR "printed ${count} errors, expected one")
endif()
if(text MATCHES "MPI_ABORT|MPI_Abort" AND NOT RESULT STREQUAL "any_failure")
  message(FATAL_ERROR "was aborted, expected an orderly end of all ranks")
endif()
foreach(file IN LISTS FILES)
  if(NOT EXISTS ${file})
    message(FATAL_ERROR "left no ${file}")
  endif()
endforeach()
