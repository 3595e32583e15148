# Runs MAKER into the directory MADE, and compares what it wrote with the directory STANDING, file by file.
file(REMOVE_RECURSE "${MADE}")
execute_process(COMMAND "${MAKER}" "${MADE}" RESULT_VARIABLE failed)
if(failed)
  message(FATAL_ERROR "${MAKER} ended with ${failed}")
endif()
file(GLOB standing RELATIVE "${STANDING}" "${STANDING}/*.json")
file(GLOB made RELATIVE "${MADE}" "${MADE}/*.json")
if(NOT standing STREQUAL made OR NOT made)
  message(FATAL_ERROR "other files: ${made} instead of ${standing}")
endif()
foreach(name IN LISTS made)
  execute_process(COMMAND "${CMAKE_COMMAND}" -E compare_files "${MADE}/${name}" "${STANDING}/${name}"
    RESULT_VARIABLE other)
  if(other)
    message(FATAL_ERROR "${name} is not what the code makes now. If the change is meant (it breaks every client): "
      "${MAKER} ${STANDING}")
  endif()
endforeach()
