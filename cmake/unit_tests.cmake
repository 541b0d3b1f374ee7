# Unit tests: programs linked to layers of the core, in three flavours of one build.
#
#   spanmalloc_unit_test(<name> <layer> <label> <source>...)
#
# makes the programs <name>.debug (-O1, DCHECK on), <name>.asan (address and undefined behaviour)
# and <name>.tsan (threads), each with gtest's main, and one test per program, labelled <label> and
# with the flavour. They get the objects of <layer> and of those below it: a call upward does not
# link. "support/x.h" is tests/support/x.h. Programs are compiled without RTTI as the core is, so
# that they may derive from its interfaces.

find_package(Threads REQUIRED)
if(SPANMALLOC_OTHER_HOME)
  # No libraries of other homes: they are built from Debian's package googletest.
  set(INSTALL_GTEST OFF)
  add_subdirectory(/usr/src/googletest ${PROJECT_BINARY_DIR}/googletest EXCLUDE_FROM_ALL)
  foreach(library gtest gmock gtest_main)
    set_target_properties(${library} PROPERTIES COMPILE_WARNING_AS_ERROR OFF)
    if(NOT TARGET GTest::${library})
      add_library(GTest::${library} ALIAS ${library})
    endif()
  endforeach()
else()
  find_package(GTest REQUIRED)
endif()

# Lowest first.
set(SPANMALLOC_LAYERS platform base pages spans central cache scavenger heap stats)

set(flavours debug asan tsan)
if(SPANMALLOC_OTHER_HOME)
  # The sanitizers' runtimes are glibc's, and need more of the kernel than an emulator gives.
  set(flavours debug)
endif()
set(flavour_flags_debug -O1 -g -UNDEBUG)
set(flavour_flags_asan -O1 -g -UNDEBUG -fsanitize=address,undefined -fno-sanitize=vptr
                       -fno-sanitize-recover=all -fno-omit-frame-pointer)
set(flavour_flags_tsan -O1 -g -UNDEBUG -fsanitize=thread)
set(flavour_environment_debug "")
set(flavour_environment_asan "ASAN_OPTIONS=allocator_may_return_null=1:detect_stack_use_after_return=0"
                             "UBSAN_OPTIONS=print_stacktrace=1")
set(flavour_environment_tsan "TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1")

# Per flavour one object library per layer, and spanmalloc_core_<flavour>, which stands for all.
foreach(flavour IN LISTS flavours)
  add_library(spanmalloc_core_${flavour} INTERFACE)
  target_include_directories(spanmalloc_core_${flavour} INTERFACE ${PROJECT_SOURCE_DIR}/src
                                                                  ${PROJECT_SOURCE_DIR}/include)
  foreach(layer IN LISTS SPANMALLOC_LAYERS)
    set(sources ${SPANMALLOC_CORE_SOURCES})
    list(FILTER sources INCLUDE REGEX "/src/${layer}/")
    if(sources)
      set(library spanmalloc_${layer}_${flavour})
      spanmalloc_add_layers(${library} "${sources}" ${flavour_flags_${flavour}})
      target_sources(spanmalloc_core_${flavour} INTERFACE $<TARGET_OBJECTS:${library}>)
    endif()
  endforeach()
endforeach()

# The thread sanitizer of gcc 12 refuses address layouts of more than 28 random bits.
find_program(SPANMALLOC_SETARCH setarch)
set(fixed_layout)
if(SPANMALLOC_SETARCH)
  execute_process(COMMAND ${SPANMALLOC_SETARCH} -R true RESULT_VARIABLE setarch_failed
                  OUTPUT_QUIET ERROR_QUIET)
  if(NOT setarch_failed)
    set(fixed_layout ${SPANMALLOC_SETARCH} -R)
  endif()
endif()

function(spanmalloc_unit_test name layer label)
  list(FIND SPANMALLOC_LAYERS ${layer} position)
  if(position EQUAL -1)
    message(FATAL_ERROR "spanmalloc_unit_test: no layer ${layer}")
  endif()
  math(EXPR count "${position} + 1")
  list(SUBLIST SPANMALLOC_LAYERS 0 ${count} layers)
  foreach(flavour IN LISTS flavours)
    set(program ${name}.${flavour})
    add_executable(${program} ${ARGN})
    foreach(library IN LISTS layers)
      if(TARGET spanmalloc_${library}_${flavour})
        target_link_libraries(${program} PRIVATE spanmalloc_${library}_${flavour})
      endif()
    endforeach()
    target_include_directories(${program} PRIVATE ${PROJECT_SOURCE_DIR}/tests
                               ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
    # -Og halves the compile time of the test code under the sanitizers.
    target_compile_options(${program} PRIVATE -Wall -Wextra -Wundef -Wshadow -Werror -fno-rtti
                                              ${flavour_flags_${flavour}} -Og -g1)
    target_link_options(${program} PRIVATE ${flavour_flags_${flavour}})
    target_link_libraries(${program} PRIVATE GTest::gmock GTest::gtest_main Threads::Threads)
    set(wrapper ${CMAKE_CROSSCOMPILING_EMULATOR})
    if(flavour STREQUAL "tsan")
      set(wrapper ${fixed_layout})
    endif()
    set(filter)
    if(SPANMALLOC_OTHER_HOME)
      list(JOIN SPANMALLOC_LEFT_OUT ":" filter)
      set(filter --gtest_filter=-${filter})
    endif()
    add_test(NAME ${program} COMMAND ${wrapper} $<TARGET_FILE:${program}> --gtest_brief=1 ${filter})
    set_tests_properties(${program} PROPERTIES LABELS "${label};${flavour}" TIMEOUT 300
                         ENVIRONMENT "${flavour_environment_${flavour}}")
  endforeach()
endfunction()
