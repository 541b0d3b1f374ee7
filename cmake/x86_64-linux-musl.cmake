# Toolchain for programs of the C library musl, with Debian's packages musl-tools, clang and
# libc++-14-dev: no C++ library there is made for musl, but of libc++ the allocator needs headers
# alone, which know musl.
#
#   cmake -S . -B build-musl -G Ninja --toolchain cmake/x86_64-linux-musl.cmake
set(CMAKE_C_COMPILER musl-gcc)
set(CMAKE_CXX_COMPILER clang++)

execute_process(COMMAND ${CMAKE_CXX_COMPILER} -print-resource-dir
                OUTPUT_VARIABLE resource_dir OUTPUT_STRIP_TRAILING_WHITESPACE)
set(musl_flags
    -nostdinc -D_LIBCPP_HAS_MUSL_LIBC
    -isystem /usr/lib/llvm-14/include/c++/v1
    -isystem /usr/include/x86_64-linux-musl
    -isystem ${resource_dir}/include
    # After musl's own: the kernel's headers, which musl does not bring.
    -idirafter /usr/include/x86_64-linux-gnu -idirafter /usr/include)
list(JOIN musl_flags " " CMAKE_CXX_FLAGS_INIT)

# Only the shared library is linked as C++; programs are C.
set(CMAKE_SHARED_LINKER_FLAGS_INIT "-nostdlib -L/usr/lib/x86_64-linux-musl")
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
