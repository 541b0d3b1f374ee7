# cmake -DSOURCE=<project> -DBUILD=<where> -DCXX=<compiler> -DCC=<compiler>
#       -DPKG_CONFIG=<program> -P absolute_directories.cmake
# Configures the project for directories that are told as absolute paths, as distributions do, and
# asks pkg-config what it makes of its file.
file(REMOVE_RECURSE ${BUILD})

# expect(<libdir> <includedir> <option>...): the prefix is /there.
function(expect libdir includedir)
  execute_process(COMMAND ${CMAKE_COMMAND} -S ${SOURCE} -B ${BUILD} -DCMAKE_CXX_COMPILER=${CXX}
                          -DCMAKE_C_COMPILER=${CC} -DCMAKE_INSTALL_PREFIX=/there ${ARGN}
                  OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
  foreach(name libdir includedir)
    execute_process(COMMAND ${PKG_CONFIG} --define-variable=pcfiledir=/there/lib/pkgconfig
                            --variable=${name} ${BUILD}/spanmalloc.pc
                    OUTPUT_VARIABLE value OUTPUT_STRIP_TRAILING_WHITESPACE
                    COMMAND_ERROR_IS_FATAL ANY)
    get_filename_component(value "${value}" ABSOLUTE)
    if(NOT value STREQUAL "${${name}}")
      message(FATAL_ERROR "${name} is ${value} and not ${${name}} with ${ARGN}")
    endif()
  endforeach()
endfunction()

expect(/there/lib /there/include -DCMAKE_INSTALL_LIBDIR=lib -DCMAKE_INSTALL_INCLUDEDIR=include)
expect(/there/lib /elsewhere/include
       -DCMAKE_INSTALL_LIBDIR=lib -DCMAKE_INSTALL_INCLUDEDIR=/elsewhere/include)
expect(/elsewhere/lib /there/include
       -DCMAKE_INSTALL_LIBDIR=/elsewhere/lib -DCMAKE_INSTALL_INCLUDEDIR=include)
