"""Runs one case of real programs plainly and with the library preloaded, and compares the two.

Usage: run.py NAME --library PATH [--show]
                                       exit status 0 same, 1 different, 77 a program is missing;
                                       --show prints what the plain run printed
       run.py --list                   of all cases: name, weight, seconds that it may take

Both runs start in an empty directory of the same name, with a clean environment. Exit status,
stdout and stderr must be equal, after what a case names as changing from run to run has been
replaced.
"""
import argparse
import difflib
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile

from cases import CASES

SKIPPED = 77
HANGS = "hangs"
INPUTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "inputs")


def missing_programs(case):
    """What a case needs and is not there: programs of the search path, or files and folders."""
    return [need for need in case.needs
            if not os.path.exists(need) and shutil.which(need, path=search_path()) is None]


def search_path():
    """Where Debian's packages have their programs: the cases are written for these."""
    return "/usr/sbin:/usr/bin:/sbin:/bin"


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


def identity(case, directory):
    """What Popen needs to run the case as its user; the directory becomes the user's."""
    if not case.user or os.geteuid() != 0:
        return {}
    user = pwd.getpwnam(case.user)
    os.chown(directory, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def run_once(case, directory, library):
    """Returns (exit status, stdout, stderr) of the case's script in a fresh `directory`."""
    shutil.rmtree(directory, ignore_errors=True)
    os.mkdir(directory)
    with subprocess.Popen(["/bin/bash", "-eu", "-o", "pipefail", "-c", case.script], cwd=directory,
                          env=environment(directory, library), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          start_new_session=True, **identity(case, directory)) as process:
        try:
            output, errors = process.communicate(timeout=case.timeout)
            status = process.returncode
        except subprocess.TimeoutExpired:
            end_session(process)
            output, errors = process.communicate()
            status = HANGS
        finally:
            end_session(process)
    return (status, normalise(case, output), normalise(case, errors))


def end_session(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


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


def public_copy(library, parent):
    """Copies the library to where every user can read it."""
    return shutil.copy(library, parent)


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


def run_case(name, library, show):
    case = CASES[name]
    missing = missing_programs(case)
    if missing:
        print(f"{name}: skipped, not installed: {' '.join(missing)}")
        return SKIPPED
    with tempfile.TemporaryDirectory(prefix="dropin-") as parent:
        os.chmod(parent, 0o711)
        directory = os.path.join(parent, "work")
        library = public_copy(library, parent)
        if not check_preload(library, parent):
            print(f"{name}: the library is not preloaded")
            return 1
        plain = run_once(case, directory, "")
        if show:
            print(*plain, sep="\n")
        if plain[0] == SKIPPED:
            print(f"{name}: skipped, not possible on this system: {plain[1]}{plain[2]}")
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
    parser.add_argument("--library")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--show", action="store_true")
    arguments = parser.parse_args()
    if arguments.list:
        for name, case in CASES.items():
            print(name, case.weight.value, 2 * case.timeout + 30)
        return 0
    if arguments.name is None or not arguments.library:
        parser.error("a NAME and a library are needed")
    return run_case(arguments.name, arguments.library, arguments.show)


if __name__ == "__main__":
    sys.exit(main())
