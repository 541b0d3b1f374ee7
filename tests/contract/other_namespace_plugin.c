/* A library in a namespace of its own, which keeps something of each thread. */
#include <pthread.h>
#include <stddef.h>

static pthread_key_t key;
static int is_made;

__attribute__((visibility("default"))) int keep(const void* value) {
  if (!is_made && pthread_key_create(&key, NULL) != 0) return -1;
  is_made = 1;
  return pthread_setspecific(key, value);
}
