/* A C library that others know nothing of, so that the loader runs its constructor before that of a
 * preloaded allocator. Its handlers of forks need other threads to get on in malloc: one ends a
 * thread before the fork, one starts a thread in the child. */
#include "contract/early_handlers_library.h"

#include <pthread.h>
#include <stdlib.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t told_to_end = PTHREAD_COND_INITIALIZER;
static pthread_t worker;
static int may_end = 0;
static int is_running = 0;
static int starts_in_child = 0;

/* Sizes of all kinds, so that every lock of an allocator is met. */
static void allocate_some(void) {
  for (size_t size = 1; size < 3000000; size = size * 3 + 1) {
    char* block = malloc(size);
    if (block == NULL) abort();
    block[size - 1] = 1;
    free(block);
  }
}

static void* work(void* unused) {
  pthread_mutex_lock(&mutex);
  while (!may_end) pthread_cond_wait(&told_to_end, &mutex);
  pthread_mutex_unlock(&mutex);
  allocate_some();
  return unused;
}

static void end_worker(void) {
  if (!is_running) return;
  pthread_mutex_lock(&mutex);
  may_end = 1;
  pthread_cond_signal(&told_to_end);
  pthread_mutex_unlock(&mutex);
  pthread_join(worker, NULL);
  is_running = 0;
}

static void run_worker_in_child(void) {
  if (!starts_in_child) return;
  if (!start_worker()) _Exit(3);
  end_worker();
}

__attribute__((constructor)) static void register_handlers(void) {
  pthread_atfork(end_worker, NULL, run_worker_in_child);
}

int start_worker(void) {
  may_end = 0;
  is_running = pthread_create(&worker, NULL, work, NULL) == 0;
  return is_running;
}

int worker_is_running(void) {
  return is_running;
}

void start_workers_in_children(void) {
  starts_in_child = 1;
}
