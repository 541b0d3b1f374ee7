"""Checks that no call of the platform layer escapes the faults: every symbol that its objects want
from the C library is wrapped or is known to have no way to fail."""

import argparse
import pathlib
import subprocess
import sys

# Neither asks the system nor can fail.
CANNOT_FAIL = {
    "_IO_list_lock", "_IO_list_resetlock", "_IO_list_unlock", "__environ", "__errno_location",
    "__libc_single_threaded", "__sched_cpucount", "__stack_chk_fail", "abort", "dl_iterate_phdr",
    "getauxval", "getpid", "pthread_attr_destroy", "pthread_attr_setdetachstate",
    "pthread_attr_setstacksize", "raise", "sigemptyset", "sigfillset",
}
HARMLESS_PREFIXES = ("mem", "bcmp", "str", "_GLOBAL_OFFSET_TABLE_", "_ZN10spanmalloc", "__popcount",
                     "__clz", "__aarch64")


def wanted_symbols(archive, objects):
    """The undefined symbols of those members of the archive that are named in `objects`."""
    text = subprocess.run(["nm", "-u", "-A", archive], check=True, capture_output=True,
                          text=True, timeout=60).stdout
    found = {}
    for line in text.splitlines():
        place, _, symbol = line.rpartition(" ")
        member = place.split(":")[1]
        if member in objects:
            found.setdefault(symbol, member)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive")
    parser.add_argument("platform", help="folder with the sources of the platform layer")
    parser.add_argument("program", help="the program that injects the faults")
    parser.add_argument("--wrapped", nargs="+", required=True)
    parser.add_argument("--operations", nargs="+", required=True)
    arguments = parser.parse_args()

    objects = {f"{path.name}.o" for path in pathlib.Path(arguments.platform).glob("*.cc")}
    wanted = wanted_symbols(arguments.archive, objects)
    problems = []
    for symbol, member in sorted(wanted.items()):
        if symbol not in CANNOT_FAIL | set(arguments.wrapped) and \
                not symbol.startswith(HARMLESS_PREFIXES):
            problems.append(f"{member} calls {symbol}(), which the faults do not reach")
    for symbol in sorted(set(arguments.wrapped) - set(wanted)):
        problems.append(f"{symbol}() is wrapped and not called")

    listed = subprocess.run([arguments.program, "--list"], check=True, capture_output=True,
                            text=True, timeout=60).stdout.split()
    for name in sorted(set(listed) ^ set(arguments.operations)):
        problems.append(f"operation {name} is in the program or in the list of tests, not in both")
    print("\n".join(problems) or f"{len(arguments.wrapped)} calls, {len(listed)} operations")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
