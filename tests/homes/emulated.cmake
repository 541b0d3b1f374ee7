# What a build for another processor leaves out, since its programs run under qemu-user. Single cases
# are left out by emulated.h.
add_compile_options(
  "$<$<COMPILE_LANGUAGE:CXX>:SHELL:-include ${CMAKE_CURRENT_LIST_DIR}/emulated.h>")

# Unit tests, as patterns of gtest.
set(SPANMALLOC_LEFT_OUT
    AllocateDeathTest.*:OpenOrderDeathTest.*:GuardDeathTest.*  # execute themselves again
    SpanAllocatorDeathTest.GuardsThatTheSystemDoesNotOpenWait  # the same
    HugePages.CollapseKeepsWhatMemoryHolds  # any advice succeeds and most does nothing
    HugePages.APartThatIsReleasedIsSplitOff
    HugePages.APieceThatReachesIntoTheNextOneSplitsThatToo
    SparseArray.LargePiecesLieInNoHugePages
    Thread.TheChildOfAForkIsTheOnlyThread  # the emulator has a thread of its own
    CodePlace.IsThatOfTheLoader  # the emulator's names of files, in its folder of libraries
    VirtualMemory.RefusedRequestsSaySoAndChangeNothing  # releases what is not mapped, and succeeds
    OsPageSource.LivesWithASmallAddressSpace  # limits of the process hold for the emulator only
    MetadataArena.BelowALimitAllIsMappedThatFits  # the same
    ScavengerThreadLife.AThreadThatWasRefusedIsAskedForAgain  # the same
    OsPageSource.GrowsWithoutAMappingMore  # the same, and it executes itself again
    SleepWatch.AThreadThatLentItsMemoryToAChildDoesNotSleep  # vfork is a fork there
    PageHeapFailures.OfMetadataLoseNothing  # the same
    PageMap*)  # keeps books of each page of terabytes that are only reserved

# Programs, by the names of their tests. They execute themselves or others, set limits or filters that
# hold for the emulator, start a thread in the child of a process with threads, start some ten
# thousand threads, end threads by the bare system call (the emulator keeps what it has of them), ask
# for memory or mappings that are the emulator's as well, or for what is refused to processes with
# several threads. A name without options stands for itself with any, as NAME.hardening=2.
set(SPANMALLOC_LEFT_OUT_TESTS
    contract.new_handler_test contract.startup_test contract.static.startup_test
    contract.static.secure_execution_test contract.exit_signal_test contract.hardening_test
    contract.shutdown_test contract.static.shutdown_test contract.descriptors_test
    contract.options_test contract.spawn_test contract.silent_kernel_test contract.refusals_test
    contract.limits_test contract.some_of_limits_test contract.some_of_refusals_test
    contract.guards_as_mappings contract.sampling_with_mappings contract.mappings_test.hardening=3
    contract.namespaces_test contract.memory_limit_test contract.pressure_callback_test
    contract.cgroup_limit_test contract.cancel_test contract.sleeping_threads_test
    contract.huge_pages_test contract.fork_children_test contract.limits_threads
    contract.bare_fork_test
    contract.used_up_mappings_test contract.fork_storm_test contract.some_of_fork_test
    contract.fork_handlers_test.hardening=3 contract.dlopen_test contract.idle_again_test
    contract.statistics_test
    contract.fork_test contract.fork_caches_test contract.thread_exit_test
    contract.thread_late_free_test contract.static.thread_late_free_test contract.thread_left_test
    property.within_80_mib property.threads_within_200_mib)
