# The three forms of the product: shared library, archive, one relocatable object.

set(objects $<TARGET_OBJECTS:spanmalloc_core> $<TARGET_OBJECTS:spanmalloc_api>)
set(shared_objects)
if(SPANMALLOC_SHARED_SOURCES)
  spanmalloc_add_layers(spanmalloc_shared "${SPANMALLOC_SHARED_SOURCES}")
  set(shared_objects $<TARGET_OBJECTS:spanmalloc_shared>)
endif()
set(public_include
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)

# Data lies in the order of the link: a word that is written at each start before the large tables.
add_library(spanmalloc SHARED ${shared_objects} ${objects})
set(version_script ${PROJECT_SOURCE_DIR}/cmake/spanmalloc.map)
set_target_properties(spanmalloc PROPERTIES
  VERSION ${PROJECT_VERSION}
  SOVERSION ${PROJECT_VERSION_MAJOR}
  LINK_DEPENDS ${version_script})
target_include_directories(spanmalloc INTERFACE ${public_include})
# -nodefaultlibs: the C++ runtime stays out; -z defs proves that nothing of it is needed.
# -nostartfiles: src/api/module_posix.cc has what is needed of them but crtendS.o, which comes last:
# it ends the tables for unwinding, which some unwinders (LLVM's) read up to that end.
# -z noseparate-code: code and constants in one segment, two mappings less to load.
target_link_options(spanmalloc PRIVATE
  -nodefaultlibs -nostartfiles
  -Wl,--version-script=${version_script}
  -Wl,-z,relro,-z,now,-z,nodelete,-z,defs,-z,noseparate-code)
target_link_libraries(spanmalloc PRIVATE c gcc -l:crtendS.o)

add_library(spanmalloc_static STATIC ${objects})
set_target_properties(spanmalloc_static PROPERTIES
  OUTPUT_NAME spanmalloc
  EXPORT_NAME static)
target_include_directories(spanmalloc_static INTERFACE ${public_include})

# Named first on a link line, the object replaces malloc whatever the order of the archives is.
set(relocatable_object ${PROJECT_BINARY_DIR}/spanmalloc.o)
add_custom_command(
  OUTPUT ${relocatable_object}
  COMMAND ${CMAKE_LINKER} -r -o ${relocatable_object} ${objects}
  DEPENDS ${objects}
  COMMAND_EXPAND_LISTS
  VERBATIM
  COMMENT "Linking relocatable object spanmalloc.o")
add_custom_target(spanmalloc_object ALL DEPENDS ${relocatable_object})
