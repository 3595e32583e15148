# signet_flags: warnings, hardening and sanitizers for our own targets; system headers stay as they are.
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Dev CACHE STRING "" FORCE)
endif()
set(CMAKE_C_FLAGS_DEV "-O1 -g1")
set(CMAKE_CXX_FLAGS_DEV "-O1 -g1")

add_library(signet_flags INTERFACE)
target_include_directories(signet_flags INTERFACE "${PROJECT_SOURCE_DIR}" "${PROJECT_BINARY_DIR}/schema")
target_compile_options(signet_flags INTERFACE
  -Wall -Wextra -Wpedantic -Werror -Wformat=2 -Werror=format-security
  $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor -Woverloaded-virtual -Wconversion -Wno-sign-conversion>
  -fno-strict-overflow -fstack-protector-strong -fno-omit-frame-pointer
  -ffile-prefix-map=${PROJECT_SOURCE_DIR}=.)
target_compile_definitions(signet_flags INTERFACE SIGNET_VERSION="${PROJECT_VERSION}" _GLIBCXX_ASSERTIONS BOOST_ALL_NO_LIB
  $<$<BOOL:${SIGNET_TEST_HOOKS}>:SIGNET_TEST_HOOKS=1>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 reports false positives of these three inside inlined library code at -O2.
  target_compile_options(signet_flags INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-Wno-maybe-uninitialized -Wno-array-bounds -Wno-stringop-overflow -Wno-stringop-overread -Wno-restrict>)
endif()

if(SIGNET_SANITIZE)
  # CAF's init_fun_factory.hpp trips the null check, hence -fno-sanitize=null.
  set(sanitize -fsanitize=${SIGNET_SANITIZE} -fno-sanitize=null -fno-sanitize-recover=undefined)
  add_compile_options(${sanitize})
  add_link_options(${sanitize})
else()
  target_compile_options(signet_flags INTERFACE
    -fstack-clash-protection -ftrivial-auto-var-init=zero
    $<$<NOT:$<CONFIG:Dev>>:-D_FORTIFY_SOURCE=3>)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64")
    target_compile_options(signet_flags INTERFACE -fcf-protection=full)
  endif()
  add_link_options(-pie -Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code)
endif()
if(SIGNET_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
