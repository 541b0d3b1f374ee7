// The second free comes from another thread.
#include <pthread.h>

#include "misuse/misuse.h"

static void* free_block(void* block) {
  free(block);
  return nullptr;
}

int main() {
  void* block = malloc(64);
  free(block);
  pthread_t thread;
  if (pthread_create(&thread, nullptr, free_block, misuse::announce(block)) != 0) return 2;
  pthread_join(thread, nullptr);
  return 0;
}
