# What a build for another processor leaves out, since its programs run under qemu-user.

# Unit tests, as patterns of gtest.
set(SPANMALLOC_NOT_EMULATED
    AllocateDeathTest.*                # executes itself again
    Thread.TheChildOfAForkIsTheOnlyThread  # the emulator has a thread of its own
    VirtualMemory.RefusedRequestsSaySoAndChangeNothing  # releases what is not mapped, and succeeds
    OsPageSource.LivesWithASmallAddressSpace  # limits of the process hold for the emulator only
    PageHeapFailures.OfMetadataLoseNothing  # the same
    PageMap*)  # keeps books of each page of terabytes that are only reserved
