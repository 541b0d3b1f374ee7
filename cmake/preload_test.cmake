# A test that runs a program with the shared library preloaded.
#
#   spanmalloc_preload_test(NAME name COMMAND program [argument]...
#                           [LABELS label...] [TIMEOUT seconds] [ENVIRONMENT NAME=value...]
#                           [PASS_REGULAR_EXPRESSION expression] [WILL_FAIL]
#                           [CONFIGURATIONS name...])
#
# The test passes when the program ends with status 0. COMMAND may name a target of this build:
#
#   add_executable(contract.sizes sizes.cc)
#   spanmalloc_preload_test(NAME contract.sizes COMMAND contract.sizes LABELS contract)
#
# LD_PRELOAD holds for the program and all its children. Without TIMEOUT it is 60 seconds.
# With PASS_REGULAR_EXPRESSION the output decides and the status is not looked at.
function(spanmalloc_preload_test)
  cmake_parse_arguments(arg "WILL_FAIL" "NAME;TIMEOUT;PASS_REGULAR_EXPRESSION"
                        "COMMAND;LABELS;ENVIRONMENT;CONFIGURATIONS" ${ARGN})
  if(NOT arg_NAME OR NOT arg_COMMAND OR arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "spanmalloc_preload_test: NAME and COMMAND are needed; "
                        "not understood: ${arg_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 60)
  endif()
  set(preload "LD_PRELOAD=$<TARGET_FILE:spanmalloc>")
  if(CMAKE_CROSSCOMPILING)
    # For the program under qemu-user, not for the emulator.
    set(preload "QEMU_SET_ENV=${preload}")
    math(EXPR arg_TIMEOUT "${arg_TIMEOUT} * 10")
  endif()
  if(arg_CONFIGURATIONS)
    list(PREPEND arg_CONFIGURATIONS CONFIGURATIONS)
  endif()
  add_test(NAME ${arg_NAME} ${arg_CONFIGURATIONS} COMMAND ${arg_COMMAND})
  set_tests_properties(${arg_NAME} PROPERTIES
    LABELS "${arg_LABELS}"
    TIMEOUT ${arg_TIMEOUT}
    ENVIRONMENT "${preload};${arg_ENVIRONMENT}")
  if(arg_PASS_REGULAR_EXPRESSION)
    set_tests_properties(${arg_NAME} PROPERTIES
      PASS_REGULAR_EXPRESSION "${arg_PASS_REGULAR_EXPRESSION}")
  endif()
  string(REGEX REPLACE "\\.[a-z_]+=.*" "" name_without_options ${arg_NAME})
  if(arg_NAME IN_LIST SPANMALLOC_LEFT_OUT_TESTS
     OR name_without_options IN_LIST SPANMALLOC_LEFT_OUT_TESTS)
    set_tests_properties(${arg_NAME} PROPERTIES DISABLED TRUE)
  endif()
  if(arg_WILL_FAIL)
    set_tests_properties(${arg_NAME} PROPERTIES WILL_FAIL TRUE)
  endif()
endfunction()
