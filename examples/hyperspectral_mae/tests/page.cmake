# SPDX-FileCopyrightText: 2026 The dchag authors
# SPDX-License-Identifier: BSD-3-Clause
#
# cmake -DPROGRAM=<program> -DPAGE=<file> -P page.cmake: the page must be what the program prints for --help-markdown.
execute_process(COMMAND ${PROGRAM} --help-markdown RESULT_VARIABLE result OUTPUT_VARIABLE printed)
file(READ ${PAGE} page)
if(NOT result EQUAL 0 OR NOT printed STREQUAL page)
  message(FATAL_ERROR "ended with ${result} and printed\n${printed}\nwhich is not what ${PAGE} holds; write it there:\n"
                      "  ${PROGRAM} --help-markdown > ${PAGE}")
endif()
