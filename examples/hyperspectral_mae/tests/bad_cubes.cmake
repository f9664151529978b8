# SPDX-FileCopyrightText: 2026 The dchag authors
# SPDX-License-Identifier: BSD-3-Clause
#
# cmake -DFOLDER=<folder> -P bad_cubes.cmake: writes ENVI cubes that must be refused, each with one fault, and
# good ones.
function(write_cube name header data)
  file(WRITE ${FOLDER}/${name}.hdr "ENVI\n${header}")
  file(WRITE ${FOLDER}/${name}.raw "${data}")
endfunction()
string(REPEAT "0123456789abcdef" 2 bytes) # 32 bytes: 2 x 2 pixels, 4 bands of int16

foreach(good IN ITEMS good good_too)
  write_cube(${good} "samples = 2\nlines = 2\nbands = 4\ndata type = 2\ninterleave = bsq\n" "${bytes}")
endforeach()
write_cube(truncated "samples = 2\nlines = 3\nbands = 4\ndata type = 2\ninterleave = bsq\n" "${bytes}")
write_cube(longer "samples = 2\nlines = 1\nbands = 4\ndata type = 2\ninterleave = bsq\n" "${bytes}")
write_cube(interleave "samples = 2\nlines = 2\nbands = 4\ndata type = 2\ninterleave = bxq\n" "${bytes}")
write_cube(zero_bands "samples = 2\nlines = 2\nbands = 0\ndata type = 2\ninterleave = bsq\n" "${bytes}")
# The bytes ff ff ff ff are a NaN in float32; file(WRITE) cannot write them.
execute_process(COMMAND printf "\\377\\377\\377\\377\\377\\377\\377\\377" OUTPUT_FILE ${FOLDER}/nan.raw)
file(WRITE ${FOLDER}/nan.hdr "ENVI\nsamples = 2\nlines = 1\nbands = 1\ndata type = 4\ninterleave = bsq\n")
