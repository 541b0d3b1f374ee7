#ifndef SPANMALLOC_API_LOAD_H_
#define SPANMALLOC_API_LOAD_H_

namespace spanmalloc {

// Referred to by malloc.cc, so that the linker takes the constructor of load.cc out of an archive
// together with malloc.
extern const char load_anchor;

}  // namespace spanmalloc

#endif  // SPANMALLOC_API_LOAD_H_
