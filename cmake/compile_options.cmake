# Compiler flags of the allocator, and the function that makes an object library with them.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
# -O3 buys nothing here and its inlining makes the hot path depend on the compiler's mood.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")

set(SPANMALLOC_WARNINGS -Wall -Wextra -Wundef -Wshadow -Wconversion -Werror)

# -fno-builtin-*: the compiler must not turn the body of calloc() into a call of calloc().
# initial-exec: one load reaches thread-local data, at the price of static TLS space in dlopen().
# -falign-functions: functions start at a cache line, or their branches fall where the linker lets
# them, which is worth 5 % of a hot pair.
# Unwind tables stay: operator new lets an exception of the new_handler pass.
set(SPANMALLOC_FLAGS
    -fPIC -fvisibility=hidden -fvisibility-inlines-hidden -fno-exceptions -fno-rtti
    -fasynchronous-unwind-tables -ftls-model=initial-exec -fno-plt -fno-threadsafe-statics
    -falign-functions=64
    -fno-builtin-malloc -fno-builtin-free -fno-builtin-calloc -fno-builtin-realloc)

# The one file that catches exceptions, which a program's new handler or operator new may throw.
# What it says to the linker in assembly must stay with its code, so it is left out of LTO.
set_source_files_properties(${PROJECT_SOURCE_DIR}/src/api/call_catching.cc
  PROPERTIES COMPILE_OPTIONS "-fexceptions;-fno-lto")

# The linker of LLVM 14 ends with a fault at a resolver in its own code for LTO.
set_source_files_properties(${PROJECT_SOURCE_DIR}/src/api/relocation_glibc.cc
  PROPERTIES COMPILE_OPTIONS "-fno-lto")

# What only the C library's part of each module refers to must not be left out by LTO.
set_source_files_properties(${PROJECT_SOURCE_DIR}/src/api/module_posix.cc
  PROPERTIES COMPILE_OPTIONS "-fno-lto")

# The basic and the derived forms of operator delete stand in two files on purpose; see there.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  set_source_files_properties(
    ${PROJECT_SOURCE_DIR}/src/api/operator_new.cc
    ${PROJECT_SOURCE_DIR}/src/api/operator_new_derived.cc
    PROPERTIES COMPILE_OPTIONS -Wno-sized-deallocation)
endif()

# Makes the object library `name` of `sources` with the allocator's flags, then ARGN on top.
function(spanmalloc_add_layers name sources)
  add_library(${name} OBJECT ${sources})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
  target_compile_options(${name} PRIVATE ${SPANMALLOC_WARNINGS} ${SPANMALLOC_FLAGS} ${ARGN})
endfunction()
