# signet_compile_schemas(OUT_VAR file.capnp...): C++ from the schemas, into build/schema/messages/schema/.
find_program(CAPNP_COMPILER capnp REQUIRED)
find_program(CAPNPC_CXX capnpc-c++ REQUIRED)
function(signet_compile_schemas out_var)
  set(generated)
  foreach(schema IN LISTS ARGN)
    file(RELATIVE_PATH relative "${PROJECT_SOURCE_DIR}" "${schema}")
    set(base "${PROJECT_BINARY_DIR}/schema/${relative}")
    add_custom_command(OUTPUT "${base}.c++" "${base}.h"
      COMMAND "${CMAKE_COMMAND}" -E make_directory "${PROJECT_BINARY_DIR}/schema"
      COMMAND "${CAPNP_COMPILER}" compile "-o${CAPNPC_CXX}:${PROJECT_BINARY_DIR}/schema"
              "--src-prefix=${PROJECT_SOURCE_DIR}" "-I${PROJECT_SOURCE_DIR}" "${schema}"
      DEPENDS ${ARGN} VERBATIM)
    list(APPEND generated "${base}.c++" "${base}.h")
  endforeach()
  set(${out_var} ${generated} PARENT_SCOPE)
endfunction()
