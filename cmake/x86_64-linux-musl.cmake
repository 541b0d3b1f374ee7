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

# clang knows no other C library to link with. The library needs of it nothing but functions; what
# the tests need besides brings tests/homes/musl. musl-gcc leaves out the option for exceptions.
set(musl_link "musl-gcc -Wl,--eh-frame-hdr <LINK_FLAGS> <OBJECTS> -o <TARGET> <LINK_LIBRARIES>")
set(CMAKE_CXX_LINK_EXECUTABLE ${musl_link})
set(CMAKE_CXX_CREATE_SHARED_LIBRARY "${musl_link} -nostdlib -shared <SONAME_FLAG><TARGET_SONAME>")
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
