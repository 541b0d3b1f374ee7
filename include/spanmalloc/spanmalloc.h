/* spanmalloc beyond malloc: memory return, options, statistics. Usable from C and C++.
 *
 * Every function may be called by any thread at any time, but not by a signal handler that
 * interrupted malloc or free. None throws or changes errno. Sizes are in bytes.
 *
 * A program that must also run without the library declares what it uses weak and tests it for
 * NULL; the library may be preloaded or linked. */
#ifndef SPANMALLOC_SPANMALLOC_H_
#define SPANMALLOC_SPANMALLOC_H_

#include <stddef.h>
#include <stdint.h>

#define SPANMALLOC_VERSION_MAJOR 0
#define SPANMALLOC_VERSION_MINOR 1
#define SPANMALLOC_VERSION_PATCH 0

#ifdef __cplusplus
extern "C" {
#endif

/* The version of the library that runs, as "0.1.0". */
const char* spanmalloc_version(void);

/* Gives all memory back to the system that no live block needs, also what the calling thread, ended
 * threads and the library itself keep for speed, but not what other running threads keep. Returns
 * the bytes given back. May take milliseconds; other threads go on meanwhile. */
size_t spanmalloc_release_memory(void);

/* Where the memory of the process's heap is, in bytes. in_use + free_retained + released = mapped;
 * live_small + live_large + cached + free_in_spans + span_waste = in_use. Exact when no other
 * thread allocates meanwhile and the background thread rests. */
typedef struct spanmalloc_stats {
  size_t size;              /* of this structure, set by the caller */
  size_t mapped;            /* pages that belong to the heap */
  size_t in_use;            /* pages of spans */
  size_t free_retained;     /* free pages that the system still backs */
  size_t released;          /* pages given back, or never touched */
  size_t live_small;        /* blocks up to 128 KiB that the program owns, by class size */
  size_t live_large;        /* larger blocks that the program owns, by pages */
  size_t cached;            /* free blocks in thread caches and depots */
  size_t free_in_spans;     /* free blocks in partly used spans */
  size_t span_waste;        /* what remains behind the last block of a span */
  size_t metadata;          /* the allocator's own records */
  size_t resident;          /* of the whole process, as the system sees it */
  size_t large_count;       /* live large blocks */
  size_t thread_caches;     /* thread caches made so far */
  size_t scavenged;         /* bytes of free pages given back since the start */
  size_t released_in_spans; /* of cached, free_in_spans and span_waste, what was given back */
} spanmalloc_stats;

/* Fills *stats as far as the stats->size that the caller has set reaches, and sets it to the bytes
 * filled: less where the library is older than this header. Returns 0, or -1 when the size is 0. */
int spanmalloc_get_stats(spanmalloc_stats* stats);

/* Writes the statistics as JSON to `buffer`, cut off at `capacity`, always ended by a zero byte.
 * Returns the length of what was written, without that byte. Writes nothing and returns 0 when the
 * capacity is 0. */
size_t spanmalloc_stats_json(char* buffer, size_t capacity);

/* What happens when the heap would pass its memory limit. */
typedef enum spanmalloc_limit_kind {
  SPANMALLOC_LIMIT_SOFT = 0, /* free memory goes back at once; no request fails for it */
  SPANMALLOC_LIMIT_HARD = 1  /* as soft, and what still does not fit fails with ENOMEM */
} spanmalloc_limit_kind;

/* Bounds what the heap holds: memory in use, free memory that is still backed, and the allocator's
 * own records, in bytes; 0 for no limit. What is beyond it goes back before the call returns, as
 * far as it is free. Without a limit of its own a program in a container has a soft one of 95 % of
 * the container's, read by the background thread, so in heaps from 32 MiB on. Returns 0, or -1 when
 * the kind is unknown or the limit over 128 TiB. */
int spanmalloc_set_memory_limit(size_t bytes, spanmalloc_limit_kind kind);

/* The limit in effect, or SIZE_MAX when there is none. *kind, unless `kind` is NULL, becomes its
 * kind. */
size_t spanmalloc_get_memory_limit(spanmalloc_limit_kind* kind);

/* Why a program is asked to give memory back. */
typedef enum spanmalloc_pressure {
  SPANMALLOC_PRESSURE_LIMIT = 1, /* the heap holds more than its limit, and all of it is in use */
  SPANMALLOC_PRESSURE_SYSTEM = 2 /* the system or the container has become short of memory */
} spanmalloc_pressure;

/* `excess` is how many bytes the heap holds beyond its limit; 0 without one. */
typedef void (*spanmalloc_pressure_callback)(spanmalloc_pressure reason, size_t excess,
                                             void* context);

/* Has `callback` called when memory is short, so that the program can drop caches: at most once an
 * epoch (a second) while the limit is passed, and when pressure begins. The library's background
 * thread makes the calls; this function starts it, and it stays as long as a callback is set. The
 * callback has 256 KiB of stack and all signals blocked there, and may allocate and free. A new
 * callback takes the place of the one before; NULL ends the calls. A call that is under way goes
 * on. Returns 0, or -1 when the scavenger is switched off, the process can have no thread or memory
 * is refused, so that there will be no call. */
int spanmalloc_set_pressure_callback(spanmalloc_pressure_callback callback, void* context);

/* Lets the scavenger's clock tick once, in the calling thread: what lay idle since the last tick is
 * drained, and free memory goes back by the option `policy`: what is beyond the peak of the last
 * five ticks and `retain_percent` of it, or what was not used for `idle_age` ticks. Returns the
 * bytes given back; 0 also when a tick is under way. */
size_t spanmalloc_scavenge_epoch(void);

/* Sets an option by its name in SPANMALLOC_OPTIONS. Returns 0, or -1 when the name is unknown, when
 * the value is out of range, and for what is decided once, when the library is loaded: hardening,
 * sample_guard, release. */
int spanmalloc_set_option(const char* name, uint64_t value);

/* Reads an option. Returns 0, or -1 when the name is unknown. */
int spanmalloc_get_option(const char* name, uint64_t* value);

/* 1 when `pointer` points into a span or a sampled block of this allocator, at a live block or not;
 * 0 when it points elsewhere, its free pages included. Never touches what it points to. */
int spanmalloc_owns(const void* pointer);

/* Checks all structures of the allocator, of thread caches the calling thread's alone. Ends the
 * process with a sentence if one is damaged. Takes time in proportion to the heap. */
void spanmalloc_check(void);

#ifdef __cplusplus
}
#endif

#endif /* SPANMALLOC_SPANMALLOC_H_ */
