"""Runs one case of real programs plainly and with the library preloaded, and compares the two.

Usage: run.py NAME --library PATH      exit status 0 same, 1 different, 77 a program is missing
       run.py --list                   the names of all cases

Both runs start in an empty directory of the same name, with a clean environment. Exit status,
stdout and stderr must be equal, after what a case names as changing from run to run has been
replaced.
"""
import argparse
import difflib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

from cases import CASES

SKIPPED = 77
INPUTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "inputs")


def missing_programs(case):
    return [program for program in case.needs if shutil.which(program, path=search_path()) is None]


def search_path():
    return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def environment(directory, library):
    clean = {
        "PATH": search_path(),
        "HOME": directory,
        "TMPDIR": directory,
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "INPUTS": INPUTS,
    }
    if library:
        clean["LD_PRELOAD"] = library
    return clean


def run_once(case, directory, library):
    """Returns (exit status, stdout, stderr) of the case's script in a fresh `directory`."""
    shutil.rmtree(directory, ignore_errors=True)
    os.mkdir(directory)
    with subprocess.Popen(["/bin/bash", "-eu", "-o", "pipefail", "-c", case.script], cwd=directory,
                          env=environment(directory, library), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          start_new_session=True) as process:
        try:
            output, errors = process.communicate(timeout=case.timeout)
        except subprocess.TimeoutExpired:
            return ("hangs", "", "")
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
    return (process.returncode, normalise(case, output), normalise(case, errors))


def normalise(case, data):
    text = data.decode("utf-8", "replace")
    for expression, replacement in case.normalise:
        text = re.sub(expression, replacement, text, flags=re.MULTILINE)
    return text


def check_preload(library, directory):
    """True if a program that is started with the library really has it."""
    done = subprocess.run(["/bin/cat", "/proc/self/maps"], env=environment(directory, library),
                          capture_output=True, text=True, check=False)
    return done.returncode == 0 and os.path.realpath(library) in done.stdout


def difference(name, plain, preloaded):
    lines = difflib.unified_diff(plain.splitlines(), preloaded.splitlines(), f"{name}, plain",
                                 f"{name}, preloaded", lineterm="", n=1)
    return "\n".join(list(lines)[:60])


def compare(plain, preloaded):
    """Returns the text of what differs, empty if nothing does."""
    faults = []
    if plain[0] != preloaded[0]:
        faults.append(f"exit status: plain {plain[0]}, preloaded {preloaded[0]}")
    for name, before, after in zip(("stdout", "stderr"), plain[1:], preloaded[1:]):
        if before != after:
            faults.append(difference(name, before, after))
    return "\n".join(faults)


def run_case(name, library):
    case = CASES[name]
    missing = missing_programs(case)
    if missing:
        print(f"{name}: skipped, not installed: {' '.join(missing)}")
        return SKIPPED
    with tempfile.TemporaryDirectory(prefix="dropin-") as parent:
        directory = os.path.join(parent, "work")
        if library and not check_preload(library, parent):
            print(f"{name}: the library is not preloaded")
            return 1
        plain = run_once(case, directory, "")
        if plain[0] == SKIPPED:
            print(f"{name}: skipped, not possible on this system")
            return SKIPPED
        if plain[0] != 0:
            print(f"{name}: the case fails without the library: {plain}")
            return 1
        fault = compare(plain, run_once(case, directory, library))
    if fault:
        print(f"{name}: {fault}")
    return 1 if fault else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", nargs="?", choices=sorted(CASES))
    parser.add_argument("--library", default="")
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(CASES))
        return 0
    if arguments.name is None:
        parser.error("a NAME is needed")
    return run_case(arguments.name, arguments.library)


if __name__ == "__main__":
    sys.exit(main())
