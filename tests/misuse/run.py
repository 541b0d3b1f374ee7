"""Runs one program that misuses malloc and checks how it ends.

Usage: run.py NAME --program PATH --library PATH

The program prints the pointer in question. It must end by abort(), and the only line on stderr must
be the sentence of the table below, with that pointer. An empty --library runs it without preload.
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
    "double_free_large": ("free", FREED_LARGE),
    "double_free_huge": ("free", FREED_HUGE),
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

# What these programs break may show in several ways, or as a segmentation fault: they must not end
# as if nothing had happened.
NOT_SILENT = {
    "write_after_free",
    "write_after_free_zero",
    "write_after_free_byte",
    "write_after_free_all",
    "write_after_free_pointer",
}


OVERFLOW = r"memory behind a .*block.* was overwritten"
WROTE = r"a free \d+-byte block was written to after its free"

# What hardening adds: the options under which the program must end, and how: a sentence after
# "spanmalloc: ", or SIGSEGV.
LEVELS = ("hardening=1", "hardening=2", "hardening=3", "sample_guard=1")
HARDENED = {
    "overflow_one_byte": {option: OVERFLOW for option in LEVELS[:3]},
    "overflow_word": {option: OVERFLOW for option in LEVELS[:3]},
    "overflow_large": {"hardening=1": OVERFLOW, "hardening=2": OVERFLOW, "hardening=3": "SIGSEGV"},
    "delete_wrong_size": {option: r"size 40 given for a 64-byte block" for option in LEVELS},
    "write_after_free_reused": {"hardening=2": WROTE, "hardening=3": WROTE,
                                "sample_guard=1": "SIGSEGV"},
    "read_after_free": {"sample_guard=1": "SIGSEGV"},
    "read_after_free_large": {"hardening=3": "SIGSEGV"},
}


def check_hardened(wanted, status, errors):
    """How a program ended under hardening, as a fault or None."""
    if wanted == "SIGSEGV":
        return None if status == -signal.SIGSEGV else f"ended with {describe(status)}"
    if status == -signal.SIGABRT and re.match(rf"spanmalloc: .*{wanted}\n", errors):
        return None
    return f"ended with {describe(status)}, wanted: {wanted}"


def describe(status):
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"


def check_sentence(name, status, pointer, errors):
    call, sentences = SENTENCES[name]
    if status != -signal.SIGABRT:
        return f"ended with {describe(status)}, not by abort()"
    wanted = [rf"spanmalloc: {call}\({pointer}\): {sentence}\n" for sentence in sentences]
    if not any(re.fullmatch(one, errors) for one in wanted):
        return "none of these on stderr:\n  " + "  ".join(wanted)
    return None


def check_not_silent(status):
    if status in (-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS):
        return None
    return f"ended with {describe(status)}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(NOT_SILENT | set(SENTENCES) | set(HARDENED)))
    parser.add_argument("--program", required=True)
    parser.add_argument("--library", required=True)
    parser.add_argument("--options", default="", help="SPANMALLOC_OPTIONS of the program")
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
    if arguments.name in HARDENED:
        wanted = HARDENED[arguments.name].get(arguments.options)
        fault = check_hardened(wanted, done.returncode, done.stderr) if wanted else None
    elif arguments.options:
        fault = check_not_silent(done.returncode)
    elif arguments.name in NOT_SILENT:
        fault = check_not_silent(done.returncode)
    else:
        fault = check_sentence(arguments.name, done.returncode, done.stdout.strip(), done.stderr)
    if fault:
        print(f"{arguments.name}: {fault}\nstdout: {done.stdout}stderr: {done.stderr}")
    return 1 if fault else 0


if __name__ == "__main__":
    sys.exit(main())
