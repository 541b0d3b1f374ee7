"""Checks the list of guarantees in README.md: every row names tests, and every test that is named
exists in ctest's list, so that the list cannot rot."""

import fnmatch
import json
import pathlib
import re
import subprocess
import sys

HEADING = "## Guarantees"
# Not built where a compiler or a tool is missing.
OPTIONAL_FOLDERS = {"dropin", "fuzz", "golden", "homes"}


def section(text):
    """The lines of the section, without its heading."""
    lines = iter(text.splitlines())
    for line in lines:
        if line == HEADING:
            break
    found = []
    for line in lines:
        if line.startswith("## "):
            break
        found.append(line)
    return found


def rows(lines):
    """(guarantee, [name of a test]) of each row of the tables."""
    for line in lines:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|") or set(cells[0]) <= set("-: ") or cells[-1] == "held by":
            continue
        yield cells[0], re.findall(r"`([^`]+)`", cells[-1])


def registered_tests(ctest, build):
    """The names of all tests, also of those that run on demand."""
    text = subprocess.run([ctest, "--show-only=json-v1", "-C", "heavy"], cwd=build, check=True,
                          capture_output=True, text=True, timeout=60).stdout
    return {test["name"] for test in json.loads(text)["tests"]}


def problems(readme, tests):
    """One sentence for each thing that is wrong, and the number of guarantees."""
    found = []
    folders = {name.split(".")[0] for name in tests}
    count = 0
    for guarantee, names in rows(section(readme)):
        count += 1
        if not names:
            found.append(f"no test is named for: {guarantee}")
        for name in names:
            folder = name.split(".")[0]
            is_left_out = folder in OPTIONAL_FOLDERS and folder not in folders
            if not is_left_out and not fnmatch.filter(tests, name):
                found.append(f"there is no test {name}, named for: {guarantee}")
    if count < 20:
        found.append(f"only {count} guarantees found under '{HEADING}'")
    return found, count


def main():
    ctest, build, readme = sys.argv[1:]
    tests = registered_tests(ctest, build)
    found, count = problems(pathlib.Path(readme).read_text(encoding="utf-8"), tests)
    print("\n".join(found) or f"{count} guarantees, all held by tests that exist")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
