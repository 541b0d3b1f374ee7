"""Runs every program that misuses malloc under every allocator and prints how it ended.

Usage: table.py --programs BUILD/tests/misuse --library PATH

Prints Markdown. A cell says "told" when the program ended with a sentence that names the misuse,
"crash" when it ended by a signal without one, "silent" when it went on to its end. Programs of the
same cells share a row. Allocators that are not installed are left out.
"""
import argparse
import collections
import os
import pathlib
import re
import signal
import subprocess

PEER_FOLDER = pathlib.Path("/usr/lib/x86_64-linux-gnu")
PEERS = {"glibc": "libc.so.6", "jemalloc": "libjemalloc.so.2", "mimalloc": "libmimalloc.so.2.0"}
OWN_OPTIONS = ("", "hardening=1", "hardening=2", "hardening=3", "sample_guard=1")

# What names a misuse: the sentences here, glibc's before it aborts and those of the peers.
SENTENCE = re.compile(
    r"^spanmalloc: .*(double free|middle of|not a pointer|is free|overwritten|written to|"
    r"given for|use after free|access to)"
    r"|free\(\)|realloc\(\)|malloc\(\)|malloc_consolidate|munmap_chunk\(\)|corrupted|tcache"
    r"|mimalloc: error|<jemalloc>", re.MULTILINE)


def run(program, library, options):
    """How the program ends: one of told, crash, silent."""
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("LD_PRELOAD", "SPANMALLOC_OPTIONS")}
    environment["LD_PRELOAD"] = str(library)
    if options:
        environment["SPANMALLOC_OPTIONS"] = options
    try:
        done = subprocess.run([program], env=environment, capture_output=True, text=True,
                              errors="replace", timeout=30, check=False)
    except subprocess.TimeoutExpired:
        return "hangs"
    if SENTENCE.search(done.stderr) and done.returncode in (-signal.SIGABRT, -signal.SIGSEGV):
        return "told"
    return "crash" if done.returncode < 0 else "silent"


def allocators(library):
    """(column, library, options) of each allocator that is there."""
    columns = [(f"`{options or 'hardening=0'}`", library, options)
               for options in OWN_OPTIONS]
    for name, file in PEERS.items():
        if (PEER_FOLDER / file).exists():
            columns.append((name, PEER_FOLDER / file, ""))
    return columns


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=pathlib.Path, required=True)
    parser.add_argument("--library", type=pathlib.Path, required=True)
    parser.add_argument("--only", action="append", help="this program alone; may be repeated")
    arguments = parser.parse_args()
    columns = allocators(arguments.library.resolve())
    rows = collections.defaultdict(list)
    for program in sorted(arguments.programs.glob("misuse_*")):
        name = program.name.removeprefix("misuse_")
        if not program.is_file() or (arguments.only and name not in arguments.only):
            continue
        cells = tuple(run(program.resolve(), library, options)
                      for _, library, options in columns)
        rows[cells].append(f"`{name}`")
    print("| program | " + " | ".join(column for column, _, _ in columns) + " |")
    print("|---" * (1 + len(columns)) + "|")
    for cells, names in sorted(rows.items(), key=lambda row: -len(row[1])):
        print("| " + " ".join(names) + " | " + " | ".join(cells) + " |")


main()
