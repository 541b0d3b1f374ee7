#ifndef SPANMALLOC_API_LOAD_H_
#define SPANMALLOC_API_LOAD_H_

namespace spanmalloc {

extern const char load_anchor;

// Has statistics printed when the program ends, if the option still says so by then.
void print_statistics_at_exit();

// In each object whose functions a program may want alone: the linker takes the constructor of
// load.cc out of an archive together with it.
[[gnu::used]] inline const char* const keep_load = &load_anchor;

}  // namespace spanmalloc

#endif  // SPANMALLOC_API_LOAD_H_
