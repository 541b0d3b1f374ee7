# cmake -DBUILD=<build tree> -DPREFIX=<where> -P install_moved.cmake
# Installs to one place and moves the tree to PREFIX: nothing in it may know where it was made.
file(REMOVE_RECURSE ${PREFIX} ${PREFIX}.first)
execute_process(COMMAND ${CMAKE_COMMAND} --install ${BUILD} --prefix ${PREFIX}.first
                COMMAND_ERROR_IS_FATAL ANY)
file(RENAME ${PREFIX}.first ${PREFIX})
file(GLOB_RECURSE texts ${PREFIX}/*.cmake ${PREFIX}/*.pc)
foreach(text IN LISTS texts)
  file(STRINGS ${text} strays REGEX "${BUILD}|${PREFIX}")
  if(strays)
    message(FATAL_ERROR "${text} names an absolute path: ${strays}")
  endif()
endforeach()
