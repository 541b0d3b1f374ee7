# What tests need to be built for the C library musl, and what of them is left out there.

# No C++ library is packaged for musl, so Debian's libc++ becomes one: its archives, which are built
# for glibc, and the few functions that they miss.
set(libcxx /usr/lib/llvm-14/lib)
add_library(musl_cxx SHARED ${CMAKE_CURRENT_LIST_DIR}/cxx_runtime.c
                            ${CMAKE_CURRENT_LIST_DIR}/glibc_locale.c)
target_link_options(musl_cxx PRIVATE
  -Wl,--whole-archive ${libcxx}/libc++.a ${libcxx}/libunwind.a -Wl,--no-whole-archive
  -Wl,-z,defs,--eh-frame-hdr,--wrap=newlocale,--wrap=freelocale)

# As with other C++ compilers, the runtime is last on the link line of every program.
add_library(musl_cxx_is_built INTERFACE)
add_dependencies(musl_cxx_is_built musl_cxx)
link_libraries(musl_cxx_is_built)
set(CMAKE_CXX_STANDARD_LIBRARIES
    "${CMAKE_CURRENT_BINARY_DIR}/libmusl_cxx.so -Wl,-rpath,${CMAKE_CURRENT_BINARY_DIR}")

add_compile_options(
  $<$<COMPILE_LANGUAGE:CXX>:-I${PROJECT_SOURCE_DIR}/include>
  "$<$<COMPILE_LANGUAGE:CXX>:SHELL:-include ${CMAKE_CURRENT_LIST_DIR}/musl.h>")
# What musl.h calls, where the archive is linked.
target_link_options(spanmalloc_static INTERFACE -Wl,-u,spanmalloc_get_stats)

# Programs that are not built, as targets.
set(SPANMALLOC_LEFT_OUT_PROGRAMS contract_extras_test)

# Tests, by their names. A name without options stands for itself with any, as NAME.hardening=2.
# Single cases are left out by musl.h.
set(SPANMALLOC_LEFT_OUT_TESTS
    contract.bare_fork_test  # the calls are met where glibc is
    contract.extras_test  # glibc's questions about the heap, which musl has not
    contract.dlopen_test  # musl's dlopen gives no room for initial-exec thread-local data
    contract.spawn_test)  # starts programs of glibc with the library preloaded; static.cmake has it

# Unit tests, as patterns of gtest.
set(SPANMALLOC_LEFT_OUT "")
