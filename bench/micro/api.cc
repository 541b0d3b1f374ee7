// bench.micro_api: the functions of <stdlib.h> as a program calls them. Nothing here links
// spanmalloc; run it under any allocator by LD_PRELOAD.
#include "api.h"

#include <cstring>

namespace micro {

void register_benchmarks(int count, char** arguments) {
  if (count == 3 && std::strcmp(arguments[1], "--touch-fresh") == 0) {
    touch_fresh_memory(std::strtoul(arguments[2], nullptr, 10));
    std::exit(0);
  }
  register_small();
  register_large();
  register_threads();
  register_fresh();
}

}  // namespace micro
