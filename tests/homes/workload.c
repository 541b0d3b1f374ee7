/* One program for every home of the library: another processor, another C library, other ways to
   link. Threads exchange blocks whose contents are checked, children are forked meanwhile, large
   blocks grow and shrink, threads end and leave blocks behind. Plain C11 and POSIX.

   usage: workload [steps of each thread [lone]]      exit status 0: all was well
   "lone": the children start no threads; qemu-user cannot, when their parent has some. */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "spanmalloc/spanmalloc.h"

enum children { WITH_THREAD, LONE };
enum { SLOTS = 400, PLACES = 64, WORKERS = 4, CHILDREN = 6, SHORT_THREADS = 40 };

#define REQUIRE(condition)                                              \
  do {                                                                  \
    if (!(condition)) {                                                 \
      fprintf(stderr, "workload: line %d: %s\n", __LINE__, #condition); \
      _exit(1);                                                         \
    }                                                                   \
  } while (0)

struct block {
  unsigned char* start;
  size_t size;
  unsigned seed;
};

struct worker {
  uint64_t random;
  size_t steps;
  struct block slots[SLOTS];
};

static struct block places[PLACES];
static pthread_mutex_t places_mutex = PTHREAD_MUTEX_INITIALIZER;

static size_t below(struct worker* worker, size_t limit) {
  worker->random ^= worker->random >> 12;
  worker->random ^= worker->random << 25;
  worker->random ^= worker->random >> 27;
  return (size_t)((worker->random * 0x2545f4914f6cdd1du) >> 20) % limit;
}

/* Large blocks are written and read at some places of each kernel page only. */
static size_t stride_of(const struct block* block) {
  return block->size > 32768 ? 509 : 1;
}

static void fill(const struct block* block) {
  const size_t stride = stride_of(block);
  for (size_t at = 0; at < block->size; at += stride) {
    block->start[at] = (unsigned char)(block->seed + at);
  }
}

/* Whether the first `size` bytes are what fill() wrote. */
static int is_filled(const struct block* block, size_t size) {
  const size_t stride = stride_of(block);
  for (size_t at = 0; at < size; at += stride) {
    if (block->start[at] != (unsigned char)(block->seed + at)) return 0;
  }
  return 1;
}

static size_t draw_size(struct worker* worker) {
  const size_t kind = below(worker, 100);
  const size_t shift = kind < 70 ? 10 : kind < 97 ? 16 : 21;
  return below(worker, ((size_t)1 << below(worker, shift + 1)) + 1);
}

static void allocate(struct worker* worker, struct block* block) {
  size_t alignment = 16;
  void* start = NULL;
  block->size = draw_size(worker);
  block->seed = (unsigned)below(worker, 1000);
  switch (below(worker, 4)) {
    case 0:
      start = calloc(1, block->size);
      REQUIRE(start != NULL);
      for (size_t at = 0; at < block->size; ++at) REQUIRE(((unsigned char*)start)[at] == 0);
      break;
    case 1:
      alignment = (size_t)16 << below(worker, 12);
      REQUIRE(posix_memalign(&start, alignment, block->size) == 0);
      break;
    default:
      start = malloc(block->size);
  }
  REQUIRE(start != NULL && (uintptr_t)start % alignment == 0);
  block->start = start;
  fill(block);
}

static void release(struct block* block) {
  REQUIRE(is_filled(block, block->size));
  free(block->start);
  block->start = NULL;
}

static void reallocate(struct worker* worker, struct block* block) {
  struct block changed = *block;
  changed.size = 1 + draw_size(worker);
  REQUIRE(is_filled(block, block->size));
  changed.start = realloc(block->start, changed.size);
  REQUIRE(changed.start != NULL);
  block->start = changed.start;
  REQUIRE(is_filled(block, changed.size < block->size ? changed.size : block->size));
  fill(&changed);
  *block = changed;
}

static void step(struct worker* worker) {
  struct block* block = &worker->slots[below(worker, SLOTS)];
  if (block->start == NULL) {
    allocate(worker, block);
  } else if (below(worker, 4) == 0) {
    reallocate(worker, block);
  } else {
    release(block);
  }
  if (below(worker, 4) == 0) {
    struct block* place = &places[below(worker, PLACES)];
    pthread_mutex_lock(&places_mutex);
    const struct block taken = *place;
    *place = *block;
    pthread_mutex_unlock(&places_mutex);
    *block = taken;
  }
}

static void* work(void* argument) {
  struct worker* worker = argument;
  for (size_t done = 0; done < worker->steps; ++done) step(worker);
  for (size_t slot = 0; slot < SLOTS; ++slot) {
    if (worker->slots[slot].start != NULL) release(&worker->slots[slot]);
  }
  return NULL;
}

static struct worker* new_worker(unsigned seed, size_t steps) {
  struct worker* worker = calloc(1, sizeof *worker);
  REQUIRE(worker != NULL);
  worker->random = 0x9e3779b97f4a7c15u * (seed + 1);
  worker->steps = steps;
  return worker;
}

/* A child goes on with the heap it was born with, and perhaps with a thread of its own. */
static void live_as_child(unsigned seed, size_t steps, enum children kind) {
  pthread_t thread;
  pthread_mutex_init(&places_mutex, NULL); /* another thread may have held it */
  memset(places, 0, sizeof places);
  struct worker* own = new_worker(seed, steps);
  struct worker* other = new_worker(seed + 50, steps);
  if (kind == WITH_THREAD) REQUIRE(pthread_create(&thread, NULL, work, other) == 0);
  work(own);
  if (kind == WITH_THREAD) REQUIRE(pthread_join(thread, NULL) == 0);
  spanmalloc_check();
  _exit(0);
}

static void run_workers_and_children(size_t steps, enum children kind) {
  pthread_t threads[WORKERS];
  struct worker* workers[WORKERS];
  for (unsigned i = 0; i < WORKERS; ++i) {
    workers[i] = new_worker(i, steps);
    REQUIRE(pthread_create(&threads[i], NULL, work, workers[i]) == 0);
  }
  for (unsigned i = 0; i < CHILDREN; ++i) {
    int status = 0;
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) live_as_child(100 + i, steps / 10, kind);
    REQUIRE(waitpid(child, &status, 0) == child && status == 0);
  }
  for (unsigned i = 0; i < WORKERS; ++i) {
    REQUIRE(pthread_join(threads[i], NULL) == 0);
    free(workers[i]);
  }
  for (unsigned i = 0; i < PLACES; ++i) {
    if (places[i].start != NULL) release(&places[i]);
  }
  spanmalloc_check();
}

static void* leave_block(void* argument) {
  struct block* block = argument;
  block->start = malloc(block->size);
  REQUIRE(block->start != NULL);
  fill(block);
  free(malloc(block->size));
  return NULL;
}

static void run_short_threads(void) {
  for (unsigned i = 0; i < SHORT_THREADS; ++i) {
    pthread_t thread;
    struct block block = {NULL, 100u + 97u * i, i};
    REQUIRE(pthread_create(&thread, NULL, leave_block, &block) == 0);
    REQUIRE(pthread_join(thread, NULL) == 0);
    release(&block);
  }
}

static void grow_and_shrink(void) {
  struct block block = {malloc(1), 1, 7};
  fill(&block);
  const size_t most = (size_t)48 << 20;
  for (size_t size = 2; size <= most; size = size * 3 / 2 + 1) {
    block.start = realloc(block.start, size);
    REQUIRE(block.start != NULL && block.start[0] == 7);
    block.start[size - 1] = 9;
    block.size = size;
  }
  memset(block.start, 5, block.size);
  block.start = realloc(block.start, 300000);
  for (size_t at = 0; at < 300000; ++at) REQUIRE(block.start[at] == 5);
  free(block.start);
  unsigned char* zeros = calloc(1000, 20000);
  REQUIRE(zeros != NULL);
  for (size_t at = 0; at < (size_t)20000000; ++at) REQUIRE(zeros[at] == 0);
  free(zeros);
}

static void ask_for_too_much(void) {
  volatile size_t most = PTRDIFF_MAX;
  errno = 0;
  void* nothing = malloc(most);
  REQUIRE(nothing == NULL && errno == ENOMEM);
}

int main(int argc, char** argv) {
  const size_t steps = argc > 1 ? strtoul(argv[1], NULL, 10) : 20000;
  const enum children kind = argc > 2 && strcmp(argv[2], "lone") == 0 ? LONE : WITH_THREAD;
  char* own = malloc(100);
  REQUIRE(own != NULL && spanmalloc_owns(own) && !spanmalloc_owns(&own));
  free(own);
  ask_for_too_much();
  run_short_threads();
  grow_and_shrink();
  run_workers_and_children(steps, kind);
  spanmalloc_release_memory();
  spanmalloc_stats stats;
  stats.size = sizeof stats;
  REQUIRE(spanmalloc_get_stats(&stats) == 0);
  printf("spanmalloc %s: all well, %zu KiB in use at the end\n", spanmalloc_version(),
         stats.in_use >> 10);
  return 0;
}
