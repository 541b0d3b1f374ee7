"""Runs one program that misuses malloc and checks how it ends.

Usage: run.py NAME --program PATH --library PATH

The program prints the pointer in question. It must end as the tables below say: most by abort(),
with a sentence on stderr that names that pointer, and where a misuse is not detected as if it were
none. An empty --library runs it without preload.
"""
import argparse
import os
import re
import signal
import subprocess
import sys

FOREIGN = "not a pointer from this allocator"


def interior(size):
    return f"pointer into the middle of a {size}-byte block"


def double(size):
    return f"double free of a {size}-byte block"


def is_free(size):
    return rf"block is free \({size} bytes\)"


MIB = 1 << 20
# A large block takes its pages along when it is freed, so what is said of it depends on whether its
# span is still known.
FREED_LARGE = [double(MIB), FOREIGN]
FREED_HUGE = [double(200 * MIB), FOREIGN]

# Name of the program: the call that is to be named, and the sentences that are right.
SENTENCES = {
    "free_stack": ("free", [FOREIGN]),
    "free_static": ("free", [FOREIGN]),
    "free_mmapped": ("free", [FOREIGN]),
    "free_function": ("free", [FOREIGN]),
    "free_wild": ("free", [FOREIGN]),
    "free_wild_aligned": ("free", [FOREIGN]),
    "free_noncanonical": ("free", [FOREIGN]),
    "free_57_bit": ("free", [FOREIGN]),
    "free_kernel": ("free", [FOREIGN]),
    "free_small_integer": ("free", [FOREIGN]),
    "free_minus_one": ("free", [FOREIGN]),
    "free_beyond_heap": ("free", [FOREIGN]),
    "free_interior_small": ("free", [interior(64)]),
    "free_misaligned_small": ("free", [interior(64)]),
    "free_interior_half": ("free", [interior(4096)]),
    "free_interior_large": ("free", [interior(MIB)]),
    "free_interior_large_first_page": ("free", [interior(MIB)]),
    "free_interior_huge": ("free", [interior(200 * MIB)]),
    "double_free": ("free", [double(64)]),
    "double_free_smallest": ("free", [double(16)]),
    "double_free_page": ("free", [double(8192)]),
    "double_free_delayed": ("free", [double(64)]),
    "double_free_after_churn": ("free", [double(64)]),
    "double_free_after_other_sizes": ("free", [double(64)]),
    "double_free_after_trim": ("free", [double(64)]),
    "double_free_other_thread": ("free", [double(64)]),
    "double_free_after_thread_exit": ("free", [double(64)]),
    "double_free_beside_large": ("free", [double(64)]),
    "double_free_large_heap": ("free", [double(64)]),
    "double_free_deferred": ("free", [double(64)]),
    "double_free_deferred_other_thread": ("free", [double(64)]),
    "double_free_deferred_last": ("free", [double(64)]),
    "double_free_deferred_spare": ("free", [double(64)]),
    "double_free_deferred_in_span": ("free", [double(64)]),
    "double_free_large": ("free", FREED_LARGE),
    "double_free_huge": ("free", FREED_HUGE),
    # Under hardening the sizes of a block are looked at before its memory goes.
    "double_free_huge_at_once": ("free", FREED_HUGE + [is_free(200 * MIB)]),
    "double_free_after_realloc": ("free", [double(64)]),
    "double_delete": ("(?:free|operator delete)", [double(64)]),
    "realloc_freed": ("realloc", [is_free(64)]),
    "realloc_freed_same_size": ("realloc", [is_free(64)]),
    "realloc_freed_large": ("realloc", [is_free(MIB), FOREIGN]),
    "realloc_static": ("realloc", [FOREIGN]),
    "realloc_interior": ("realloc", [interior(64)]),
    "realloc_wild": ("realloc", [FOREIGN]),
    "usable_size_freed": ("malloc_usable_size", [is_free(64)]),
    "usable_size_static": ("malloc_usable_size", [FOREIGN]),
    "usable_size_interior": ("malloc_usable_size", [interior(64)]),
}

# What this program breaks may show in several ways, or as a segmentation fault: it must not end as
# if nothing had happened.
NOT_SILENT = {"write_after_free_byte"}
WRITES_LINK = {"write_after_free", "write_after_free_all", "write_after_free_pointer",
               "write_after_free_spare", "write_after_free_zero"}
# In heaps so large that the look at free is left out.
DEFERRED = {"double_free_deferred", "double_free_deferred_in_span", "double_free_deferred_last",
            "double_free_deferred_other_thread", "double_free_deferred_spare"}

# How a program ends under hardening: (status, first line on stderr after "spanmalloc: "). {pointer}
# is the pointer that it announced, {block} any. A size is that of the class with the end in it, or what the
# program asked for, and is not looked at.
ABORT = -signal.SIGABRT
SEGFAULT = -signal.SIGSEGV
NOT_DETECTED = (0, "")
STILL_THERE = (3, "")
GUARD_OF_SPAN = (SEGFAULT, r"access to the guard of \d+-byte blocks from {block}, \d+ bytes behind "
                           "its end")
GUARD_OF_LARGE = (SEGFAULT, r"access to the guard of a \d+-byte block at {pointer}, \d+ bytes? behind "
                            "its end")
USED_FREED_LARGE = (SEGFAULT, r"use after free of a \d+-byte block at {block}, \d+ bytes into it")
OVERFLOW = (ABORT, r"free\({pointer}\): memory behind a .*block.* was overwritten")
WROTE = (ABORT, r"malloc\({pointer}\): a free \d+-byte block was written to after its free")
CHANGED = (ABORT, r"malloc\({pointer}\): a free \d+-byte block was written to after its free, "
                  "or freed twice")
# A link that was changed can lead to another block, which is then the one that is named.
WROTE_LINK = (ABORT, r"malloc\({block}\): a free \d+-byte block was written to after its free"
                     "(?:, or freed twice)?")
USED_FREED = (SEGFAULT, r"use after free of a 64-byte block at {block}, \d+ bytes into it")
BEHIND_END = (SEGFAULT, r"access to a 64-byte block at {pointer}, 0 bytes behind its end")
FAR_BEHIND_END = (SEGFAULT, r"access to a 64-byte block at {pointer}, \d+ bytes behind its end")
WRONG_SIZE = (ABORT, r"operator delete\({pointer}\): size 40 given for a 64-byte block")
WRONG_SIZE_TO_FREE = (ABORT, r"free_sized\({pointer}\): size 40 given for a 64-byte block")
WRONG_ALIGNMENT = (ABORT, r"operator delete\({pointer}\): alignment 4096 given for a 64-byte "
                          "block that is not so aligned")
FREED_TWICE = (ABORT, r"free\({pointer}\): double free of a \d+-byte block")

LEVELS = ("hardening=1", "hardening=2", "hardening=3", "sample_guard=1")


def at_levels(*endings):
    """The endings of a program at each of LEVELS."""
    return dict(zip(LEVELS, endings, strict=True))


# What hardening changes: for each option all the endings that are right. Programs and options that
# are not here end with the program's sentence of SENTENCES.
HARDENED = {
    "overflow_one_byte": at_levels(*[[OVERFLOW]] * 4),
    # A sampled block lies at the end of its slot or at its start, at random.
    "overflow_word": at_levels([OVERFLOW], [OVERFLOW], [OVERFLOW], [OVERFLOW, BEHIND_END]),
    "overflow_large": at_levels([OVERFLOW], [OVERFLOW], [GUARD_OF_LARGE], [NOT_DETECTED]),
    "overflow_span": at_levels([NOT_DETECTED], [NOT_DETECTED], [GUARD_OF_SPAN], [FAR_BEHIND_END]),
    "delete_wrong_size": at_levels(*[[WRONG_SIZE]] * 4),
    "alignment_mismatch": at_levels(*[[WRONG_ALIGNMENT]] * 4),
    "free_sized_wrong_size": at_levels(*[[WRONG_SIZE_TO_FREE]] * 4),
    "double_free_reused": at_levels([STILL_THERE], *[[FREED_TWICE]] * 3),
    "read_after_free": at_levels([NOT_DETECTED], [NOT_DETECTED], [NOT_DETECTED], [USED_FREED]),
    "read_after_free_large": at_levels([NOT_DETECTED], [NOT_DETECTED], [USED_FREED_LARGE],
                                       [STILL_THERE]),
    "write_after_free_reused": at_levels([NOT_DETECTED], [WROTE], [WROTE], [USED_FREED]),
    **{name: at_levels([WROTE_LINK], [WROTE_LINK], [WROTE_LINK], [USED_FREED])
       for name in NOT_SILENT | WRITES_LINK},
    # More blocks than slots: these are not sampled.
    **{name: {"sample_guard=1": [CHANGED]} for name in DEFERRED},
}
WITHOUT_HARDENING = {
    **{name: [CHANGED] for name in WRITES_LINK},
    **{name: [CHANGED] for name in DEFERRED},
    "overflow_one_byte": [NOT_DETECTED],
    "overflow_word": [NOT_DETECTED],
    "overflow_large": [NOT_DETECTED],
    "overflow_span": [NOT_DETECTED],
    "delete_wrong_size": [NOT_DETECTED],
    "alignment_mismatch": [NOT_DETECTED],
    "double_free_reused": [STILL_THERE],
    "free_sized_wrong_size": [NOT_DETECTED],
    "read_after_free": [STILL_THERE],
    "read_after_free_large": [STILL_THERE],
    "write_after_free_reused": [NOT_DETECTED],
}

# Where `sample_guard=1` has the block, the report tells its history.
SAMPLED_LIVE = {"alignment_mismatch", "delete_wrong_size", "free_interior_half",
                "free_interior_small", "free_misaligned_small", "free_sized_wrong_size",
                "overflow_one_byte", "overflow_span", "overflow_word", "realloc_interior",
                "usable_size_interior"}
FREED_AND_SAMPLED = {"double_delete", "double_free", "double_free_after_churn",
                     "double_free_after_realloc", "double_free_after_thread_exit",
                     "double_free_after_trim", "double_free_beside_large", "double_free_delayed",
                     "double_free_other_thread", "double_free_page", "double_free_reused",
                     "double_free_smallest", "read_after_free", "realloc_freed",
                     "realloc_freed_same_size", "usable_size_freed", "write_after_free",
                     "write_after_free_all", "write_after_free_byte", "write_after_free_pointer",
                     "write_after_free_reused", "write_after_free_spare",
                     "write_after_free_zero"}

# The memory of the block has gone to blocks of other sizes, or back, as chance has it.
REUSED = {("double_free_after_other_sizes", option) for option in LEVELS[1:]}


def check_endings(endings, status, pointer, errors):
    """Whether a program ended in one of these ways, as a fault or None."""
    for wanted, line in endings:
        sentence = rf"spanmalloc: {line}\n".format(pointer=pointer, block="0x[0-9a-f]+")
        if status == wanted and (re.match(sentence, errors) if line else errors == ""):
            return None
    return f"ended with {describe(status)}, wanted one of: {endings}"


def endings_of(name, options):
    """The endings of the tables above; None for what ends with its sentence."""
    if not options:
        return WITHOUT_HARDENING.get(name)
    return HARDENED.get(name, {}).get(options)


def describe(status):
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"


def check_sentence(name, options, status, pointer, errors):
    call, sentences = SENTENCES[name]
    if (name, options) in REUSED:
        sentences = [double(64), interior(64), FOREIGN]
    if status != -signal.SIGABRT:
        return f"ended with {describe(status)}, not by abort()"
    if options:
        sentences = [re.sub(r"\d+([- ]byte)", r"\\d+\1", sentence) for sentence in sentences]
    wanted = [rf"spanmalloc: {call}\({pointer}\): {sentence}\n" for sentence in sentences]
    # A report on a sampled block goes on with its history.
    match = re.match if options.startswith("sample_guard") else re.fullmatch
    if not any(match(one, errors) for one in wanted):
        return "none of these on stderr:\n  " + "  ".join(wanted)
    return None


def check_history(name, program, errors):
    """Whether the report on a sampled block tells the stacks, in the program, of its allocation
    and of its free if it was freed."""
    for verb in ("allocated", "freed") if name in FREED_AND_SAMPLED else ("allocated",):
        part = re.search(rf"^  {verb} by thread \d+ at:\n((?:    .+\n)+)", errors, re.MULTILINE)
        if not part or not re.search(rf"^    0x[0-9a-f]+ {re.escape(program)}\+0x", part[1],
                                     re.MULTILINE):
            return f"the report does not tell where the block was {verb}"
    return None


def check_not_silent(status):
    if status in (-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS):
        return None
    return f"ended with {describe(status)}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(set(SENTENCES) | set(HARDENED)))
    parser.add_argument("--program", required=True)
    parser.add_argument("--library", required=True)
    parser.add_argument("--options", default="", choices=("",) + LEVELS,
                        help="SPANMALLOC_OPTIONS of the program")
    arguments = parser.parse_args()
    environment = dict(os.environ)
    for variable in ("LD_PRELOAD", "SPANMALLOC_OPTIONS"):
        environment.pop(variable, None)
    if arguments.library:
        environment["LD_PRELOAD"] = arguments.library
    if arguments.options:
        environment["SPANMALLOC_OPTIONS"] = arguments.options
    done = subprocess.run([arguments.program], env=environment, capture_output=True, text=True,
                          errors="replace", timeout=30, check=False)
    pointer = done.stdout.strip()
    endings = endings_of(arguments.name, arguments.options)
    if endings:
        fault = check_endings(endings, done.returncode, pointer, done.stderr)
    elif arguments.name in NOT_SILENT:
        fault = check_not_silent(done.returncode)
    else:
        fault = check_sentence(arguments.name, arguments.options, done.returncode, pointer,
                               done.stderr)
    if not fault and arguments.options == "sample_guard=1" and \
            arguments.name in SAMPLED_LIVE | FREED_AND_SAMPLED:
        fault = check_history(arguments.name, arguments.program, done.stderr)
    if fault:
        print(f"{arguments.name}: {fault}\nstdout: {done.stdout}stderr: {done.stderr}")
    return 1 if fault else 0


if __name__ == "__main__":
    sys.exit(main())
