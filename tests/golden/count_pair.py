"""Counts the instructions of a malloc and free pair, loop and PLT included, under callgrind.

usage: count_pair.py <library> <limits.json> <compiler> <hot_pair program> <extra>
`extra` instructions a round are the program's own, beyond those of the limits' loop.
Exits 77, which ctest shows as skipped, when valgrind is not installed.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

FEW, MANY = 10000, 60000


def instructions(library, program, size, pairs):
    """How many instructions the whole program executes."""
    run = subprocess.run(
        ['valgrind', '--tool=callgrind', '--callgrind-out-file=/dev/null', program, size,
         str(pairs)], env=dict(os.environ, LD_PRELOAD=library), stderr=subprocess.PIPE, text=True,
        check=False)
    counted = re.search(r'Collected : (\d+)', run.stderr)
    if run.returncode != 0 or not counted:
        raise SystemExit(f'callgrind failed with status {run.returncode}:\n{run.stderr}')
    return int(counted.group(1))


def main():
    library, limits, compiler, program, extra = sys.argv[1:]
    if not shutil.which('valgrind'):
        print('valgrind is not installed: nothing was counted')
        return 77
    failed = False
    for size, limit in json.loads(pathlib.Path(limits).read_text())[compiler]['pair'].items():
        pair = (instructions(library, program, size, MANY) -
                instructions(library, program, size, FEW)) / (MANY - FEW) - int(extra)
        print(f'{size} bytes by {compiler}: {pair:.2f} instructions, at most {limit}')
        # Start-up differs by a few instructions from run to run; one more per pair would be 1.0.
        failed = failed or pair >= limit + 0.5
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
