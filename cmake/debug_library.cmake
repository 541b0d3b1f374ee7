# libspanmalloc_debug.so, for tests alone: the whole library with all that can be checked, that is
# DCHECKs, ranks of locks, released pages without access, freed blocks filled, invariants on slow
# paths (kParanoid of base/config.h).
set(flags -O1 -g -UNDEBUG -DSPANMALLOC_PARANOID)
spanmalloc_add_layers(spanmalloc_debug_core "${SPANMALLOC_CORE_SOURCES}" ${flags})
spanmalloc_add_layers(spanmalloc_debug_api "${SPANMALLOC_API_SOURCES}" ${flags})
add_library(spanmalloc_debug SHARED $<TARGET_OBJECTS:spanmalloc_debug_core>
                                    $<TARGET_OBJECTS:spanmalloc_debug_api>)
target_link_options(spanmalloc_debug PRIVATE
  -nodefaultlibs -Wl,--version-script=${PROJECT_SOURCE_DIR}/cmake/spanmalloc.map
  -Wl,-z,relro,-z,now,-z,nodelete,-z,defs)
target_link_libraries(spanmalloc_debug PRIVATE c gcc)
