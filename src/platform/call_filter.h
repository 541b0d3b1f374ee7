// System call filters. One that is in force when the program begins belongs to a container or a
// service manager and was made for programs in general. One that comes later was made for the calls
// that the program is about to make itself: any other may end the process.
#ifndef SPANMALLOC_PLATFORM_CALL_FILTER_H_
#define SPANMALLOC_PLATFORM_CALL_FILTER_H_

namespace spanmalloc::platform {

// Notes the filters in force. For the time of loading; without this call all of them came later.
void note_inherited_filters();

// Whether filters were in force then, as far as the system tells.
bool has_inherited_filter();

// Whether a filter has come to the calling thread since then; true also when unknown. Reads a file
// only where some were inherited.
bool has_late_filter();

}  // namespace spanmalloc::platform

#endif  // SPANMALLOC_PLATFORM_CALL_FILTER_H_
