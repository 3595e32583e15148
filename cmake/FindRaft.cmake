# libraft (cowsql). 0.15, which bookworm's main section holds, violates Raft: it counts replicas of old-term
# entries and elects on unpersisted state. Only 0.22 with raft_step() will do.
find_package(PkgConfig REQUIRED)
pkg_check_modules(RAFT_PC QUIET raft)
set(Raft_VERSION "${RAFT_PC_VERSION}")
find_path(RAFT_INCLUDE_DIR raft.h HINTS ${RAFT_PC_INCLUDE_DIRS})
find_library(RAFT_LIBRARY raft HINTS ${RAFT_PC_LIBRARY_DIRS})
if(Raft_VERSION AND Raft_VERSION VERSION_LESS 0.22)
  message(FATAL_ERROR "libraft ${Raft_VERSION} violates Raft and is refused. "
    "Next: tools/setup, or apt-get install -t bookworm-backports libraft-dev (0.22.1).")
endif()
if(Raft_VERSION AND NOT Raft_VERSION VERSION_LESS 0.23)
  message(FATAL_ERROR "libraft ${Raft_VERSION} changes who owns memory in raft_step(); storage/raft was written for 0.22.")
endif()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Raft REQUIRED_VARS RAFT_LIBRARY RAFT_INCLUDE_DIR VERSION_VAR Raft_VERSION)
if(Raft_FOUND AND NOT TARGET Raft::Raft)
  add_library(Raft::Raft UNKNOWN IMPORTED)
  set_target_properties(Raft::Raft PROPERTIES IMPORTED_LOCATION "${RAFT_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${RAFT_INCLUDE_DIR}")
endif()
