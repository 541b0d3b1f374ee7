"""Counts what a program that allocates once and ends costs more with the library than without.

usage: check_start.py <library> <limits.json> <trivial program>
Page faults vary by a few with where the kernel places things: medians are compared. System calls are
counted where strace is installed.
"""
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

RUNS = 25


def page_faults(program, environment):
    """Median of the faults of a run that needed no disk."""
    counts = []
    for _ in range(RUNS):
        child = os.posix_spawn(program, [program], environment)
        _, status, usage = os.wait4(child, 0)
        if status != 0:
            raise SystemExit(f'the program ended with status {status}')
        counts.append(usage.ru_minflt)
    return statistics.median(counts)


def system_calls(program, environment):
    """How many the program makes, the loading included."""
    with tempfile.NamedTemporaryFile(mode='r') as trace:
        changes = [f'-E{name}={value}' for name, value in environment.items()]
        subprocess.run(['strace', '-o', trace.name, *changes, program], check=True)
        return sum('(' in line for line in trace)


def main():
    library, limits, program = sys.argv[1:]
    limits = json.loads(pathlib.Path(limits).read_text())['start']
    preloaded = {'LD_PRELOAD': library}
    more = {'page faults': page_faults(program, preloaded) - page_faults(program, {})}
    if shutil.which('strace'):
        more['system calls'] = system_calls(program, preloaded) - system_calls(program, {})
    for what, count in more.items():
        print(f'{count:g} {what} more, at most {limits[what]}')
    return 1 if any(count > limits[what] for what, count in more.items()) else 0


if __name__ == '__main__':
    sys.exit(main())
