// dlsym for static programs, where musl's finds nothing: it knows what the tests look up.
#include <stddef.h>
#include <string.h>

#include "spanmalloc/spanmalloc.h"

struct Symbol {
  const char* name;
  void* address;
};

#define SYMBOL(name) \
  { #name, (void*)&name }

static const struct Symbol symbols[] = {
    SYMBOL(spanmalloc_version),
    SYMBOL(spanmalloc_get_stats),
    SYMBOL(spanmalloc_stats_json),
    SYMBOL(spanmalloc_set_memory_limit),
    SYMBOL(spanmalloc_get_memory_limit),
    SYMBOL(spanmalloc_set_pressure_callback),
    SYMBOL(spanmalloc_scavenge_epoch),
    SYMBOL(spanmalloc_release_memory),
    SYMBOL(spanmalloc_set_option),
};

void* dlsym(void* library, const char* wanted) {
  (void)library;
  for (size_t i = 0; i < sizeof symbols / sizeof *symbols; ++i) {
    if (strcmp(symbols[i].name, wanted) == 0) return symbols[i].address;
  }
  return NULL;
}
