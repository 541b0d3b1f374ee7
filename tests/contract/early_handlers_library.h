/* A library with handlers of forks, see early_handlers_library.c. */
#ifndef SPANMALLOC_TESTS_CONTRACT_EARLY_HANDLERS_LIBRARY_H_
#define SPANMALLOC_TESTS_CONTRACT_EARLY_HANDLERS_LIBRARY_H_

/* Starts a thread that waits until the process is about to fork; it allocates then, and ends.
 * Returns 0 when there can be none. */
int start_worker(void);
int worker_is_running(void);

/* From now on children start such a thread, and end it, before fork returns in them. */
void start_workers_in_children(void);

#endif
