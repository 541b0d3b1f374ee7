# Programs that know only malloc's public interface: they see no header of src/.

include_guard()
find_package(Threads REQUIRED)

# -fno-builtin-*: the compiler must neither drop a pair of malloc and free nor reason about them.
set(SPANMALLOC_BLACK_BOX_OPTIONS
    -Wall -Wextra -Wundef -Wshadow -Wconversion -Werror -O1 -g
    $<$<COMPILE_LANGUAGE:CXX>:-fsized-deallocation>
    -fno-builtin-malloc -fno-builtin-free -fno-builtin-calloc -fno-builtin-realloc
    -fno-builtin-reallocarray -fno-builtin-aligned_alloc -fno-builtin-memalign
    -fno-builtin-posix_memalign -fno-builtin-valloc -fno-builtin-pvalloc)

# spanmalloc_black_box_program(target source...)
function(spanmalloc_black_box_program target)
  add_executable(${target} ${ARGN})
  if(target IN_LIST SPANMALLOC_LEFT_OUT_PROGRAMS)
    set_target_properties(${target} PROPERTIES EXCLUDE_FROM_ALL TRUE)
  endif()
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_compile_options(${target} PRIVATE ${SPANMALLOC_BLACK_BOX_OPTIONS})
  target_link_libraries(${target} PRIVATE Threads::Threads ${CMAKE_DL_LIBS})
endfunction()
