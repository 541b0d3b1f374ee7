// Included before each source of the tests that run under qemu-user: the cases that are left out.
#ifndef SPANMALLOC_TESTS_HOMES_EMULATED_H_
#define SPANMALLOC_TESTS_HOMES_EMULATED_H_

#define SPANMALLOC_TESTS_LEAVE_OUT_CASES

namespace contract {

inline constexpr const char* kLeftOutCases[] = {
    // They execute themselves again; those of a child of fork stay.
    "the_main_thread_may_end_first",
    "the_main_thread_may_end_last_by_pthread_exit",
    "the_process_ends_when_the_system_does_not_tell_of_its_threads",
    "exit_handlers_run_on_the_last_thread_of_the_program",
    // Threads start in the child of a process that has threads.
    "memory_locked_before_a_child_allocates",
    "children_of_a_process_with_locked_memory",
};

}  // namespace contract

#endif  // SPANMALLOC_TESTS_HOMES_EMULATED_H_
