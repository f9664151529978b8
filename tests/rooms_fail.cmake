# SPDX-FileCopyrightText: 2026 The dchag authors
# SPDX-License-Identifier: BSD-3-Clause
#
# Breaks each rule of rooms.cmake once, in a tree of its own, and expects to be told.
#   cmake -DSCRATCH=<folder to write in> -P rooms_fail.cmake
cmake_minimum_required(VERSION 3.25)

set(head "// SPDX-FileCopyrightText: 2026 Somebody\n// SPDX-License-Identifier: BSD-3-Clause\n#pragma once\n")

# expect(<regex in the output> <header> <its text>): beside two headers that are in order.
function(expect message header text)
  file(REMOVE_RECURSE ${SCRATCH})
  file(WRITE ${SCRATCH}/dchag/core/base.hpp "${head}#include <vector>\n")
  file(WRITE ${SCRATCH}/dchag/core/detail/part.hpp "${head}")
  file(WRITE ${SCRATCH}/dchag/models/model.hpp "${head}#include <dchag/core/base.hpp>\n")
  file(WRITE ${SCRATCH}/dchag/${header} "${text}")
  execute_process(COMMAND ${CMAKE_COMMAND} -DINCLUDE=${SCRATCH} -P ${CMAKE_CURRENT_LIST_DIR}/rooms.cmake
                  RESULT_VARIABLE failed OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(message STREQUAL "all in order" AND failed OR NOT message STREQUAL "all in order" AND NOT failed)
    message(SEND_ERROR "${header}: rooms.cmake returned ${failed}:\n${output}")
  elseif(NOT output MATCHES "${message}")
    message(SEND_ERROR "${header}: expected '${message}', found:\n${output}")
  endif()
endfunction()

expect("all in order" ops/gemm.hpp "${head}#include <dchag/core/base.hpp>\n\n#include <Eigen/Core>\n")
expect("all in order" comm/message.hpp "${head}#include <dchag/core/base.hpp>\n\n#include <mpi.h>\n")
expect("all in order" core/other.hpp "${head}#include <dchag/core/detail/part.hpp>\n")
expect("all in order" dchag.hpp "${head}#include <dchag/core/base.hpp>\n#include <dchag/models/model.hpp>\n")

expect("no room kitchen" kitchen/pan.hpp "${head}")
expect("expected room/file.hpp" ops/deep/down/file.hpp "${head}")
expect("expected room/file.hpp" stray.hpp "${head}")
expect("ops may see only: core" ops/up.hpp "${head}#include <vector>\n#include <dchag/models/model.hpp>\n")
expect("core may see only:" core/up.hpp "${head}# include <dchag/models/model.hpp>\n")
expect("private to core" ops/nosy.hpp "${head}#include <dchag/core/detail/part.hpp>\n")
expect("does not exist" ops/lost.hpp "${head}#include <dchag/core/nowhere.hpp>\n")
expect("expected <dchag/room/file.hpp>" ops/all.hpp "${head}#include <dchag/dchag.hpp>\n")
expect("expected angle brackets" core/quoted.hpp "${head}#include \"base.hpp\"\n")
expect("<mpi.h>, which only" train/sends.hpp "${head}#include <mpi.h>\n")
expect("<Eigen/Core>, which only" ops/product.hpp "${head}#include <Eigen/Core>\n")
expect("SPDX" core/no_licence.hpp "#pragma once\n")
expect("SPDX" core/no_once.hpp "// SPDX-FileCopyrightText: 2026 Somebody\n// SPDX-License-Identifier: BSD-3-Clause\n\n")
string(REPEAT "// a line\n" 397 long)
expect("400 lines" core/long.hpp "${head}${long}")
