"""Builds the library for one home, links workload.c with it in each way that makes sense there, and
runs what came out.

usage: home.py NAME --source FOLDER --build FOLDER
       home.py --list | --list-heavy      names of the homes, heavy: those of tests/run --all alone
"""
import argparse
import itertools
import os
import pathlib
import subprocess
import sys
from dataclasses import dataclass, field

SKIPPED = 77

WARNINGS = ["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-fno-builtin", "-pthread"]


@dataclass
class Home:
    """`options` go to cmake, `flags` to the compiler of the program; `links` are names of LINKS.
    `needs` are the programs without which there is no such home here."""
    compiler: str
    options: list
    links: list
    flags: list = field(default_factory=list)
    emulator: list = field(default_factory=list)
    arguments: list = field(default_factory=lambda: ["60000"])
    needs: list = field(default_factory=list)
    heavy: bool = False


# A way to link: what stands on the command line, with {build} for where the library is. The first
# word behind -Wl,-z,now is the library, so that it replaces malloc whatever follows.
LINKS = {
    "dynamic": ["{build}/libspanmalloc.so", "-Wl,-rpath,{build}"],
    "archive": ["{build}/libspanmalloc.a"],
    "object": ["{build}/spanmalloc.o"],
    "static": ["-static", "{build}/libspanmalloc.a"],
    "static_object": ["-static", "{build}/spanmalloc.o"],
    "static_pie": ["-static-pie", "-fPIE", "{build}/libspanmalloc.a"],
    "static_pie_object": ["-static-pie", "-fPIE", "{build}/spanmalloc.o"],
}

HOMES = {}

HOMES["aarch64"] = Home(
    "aarch64-linux-gnu-gcc", ["--toolchain", "{source}/cmake/aarch64-linux-gnu.cmake"],
    ["dynamic", "static_object", "static_pie"],
    # A child of a fork that starts a thread, the scavenger's too, ends the emulator.
    emulator=["qemu-aarch64", "-E", "SPANMALLOC_OPTIONS=scavenger=0",
              "-L", "/usr/aarch64-linux-gnu"],
    arguments=["20000", "lone"],
    needs=["aarch64-linux-gnu-g++", "qemu-aarch64"])

HOMES["musl"] = Home(
    "musl-gcc", ["--toolchain", "{source}/cmake/x86_64-linux-musl.cmake", "-DSPANMALLOC_TESTS=ON"],
    ["dynamic", "archive", "static", "static_object"],
    needs=["musl-gcc", "clang++", "/usr/lib/llvm-14/lib/libc++.a", "/usr/src/googletest"])

COMPILERS = {"gcc": ("gcc", "g++"), "clang": ("clang", "clang++")}
LIGHT = {"gcc_O0", "gcc_O2_lto"}

for name, level, lto in itertools.product(COMPILERS, ["O0", "O1", "O2", "O3", "Os"], ["", "_lto"]):
    c_compiler, cxx_compiler = COMPILERS[name]
    # Without optimisation the checks of debug builds run as well.
    flags = f"-{level}" if level == "O0" else f"-{level} -DNDEBUG"
    home = Home(c_compiler,
                [f"-DCMAKE_C_COMPILER={c_compiler}", f"-DCMAKE_CXX_COMPILER={cxx_compiler}",
                 "-DCMAKE_BUILD_TYPE=None", f"-DCMAKE_CXX_FLAGS={flags}"],
                list(LINKS), flags=[f"-{level}"], needs=[c_compiler, cxx_compiler],
                heavy=f"{name}_{level}{lto}" not in LIGHT)
    if lto:
        home.options.append("-DCMAKE_INTERPROCEDURAL_OPTIMIZATION=ON")
        home.flags.append("-flto")
        # The relocatable object would hold no code yet.
        home.links = [link for link in LINKS if "object" not in link]
        if name == "clang":
            home.flags.append("-fuse-ld=lld")
            for kind in ("EXE", "SHARED"):
                home.options.append(f"-DCMAKE_{kind}_LINKER_FLAGS=-fuse-ld=lld")
            home.needs += ["ld.lld", "llvm-ar-14"]
    HOMES[f"{name}_{level}{lto}"] = home


def run(command, timeout):
    """Runs a command that must succeed; its output is shown if it does not."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", timeout=timeout,
                          check=False)
    if done.returncode != 0:
        print(f"status {done.returncode}: {' '.join(command)}\n{done.stdout}")
        sys.exit(1)
    return done.stdout


def exists(program):
    folders = [""] if os.path.isabs(program) else os.environ["PATH"].split(":")
    return any(os.path.exists(os.path.join(folder, program)) for folder in folders)


def build_library(home, source, build, targets):
    options = [option.format(source=source) for option in home.options]
    run(["cmake", "-S", str(source), "-B", str(build), "-G", "Ninja", *options], 120)
    run(["cmake", "--build", str(build), "--target", *targets], 600)


def link_and_run(home, source, build, link):
    program = build / f"workload_{link}"
    words = [word.format(build=build) for word in LINKS[link]]
    run([home.compiler, *WARNINGS, *home.flags, f"-I{source}/include", "-o", str(program),
         *[word for word in words if word.endswith(".o")], f"{source}/tests/homes/workload.c",
         *[word for word in words if not word.endswith(".o")]], 120)
    print(f"{link}: {run([*home.emulator, str(program), *home.arguments], 120)}", end="")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", nargs="?", choices=sorted(HOMES))
    parser.add_argument("--source", type=pathlib.Path)
    parser.add_argument("--build", type=pathlib.Path)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--list-heavy", action="store_true")
    arguments = parser.parse_args()
    if arguments.list or arguments.list_heavy:
        print("\n".join(name for name in HOMES if HOMES[name].heavy == arguments.list_heavy))
        return 0
    home = HOMES[arguments.name]
    missing = [program for program in home.needs if not exists(program)]
    if missing:
        print(f"skipped, not installed: {' '.join(missing)}")
        return SKIPPED
    targets = ["spanmalloc", "spanmalloc_static"]
    if any("object" in link for link in home.links):
        targets.append("spanmalloc_object")
    build_library(home, arguments.source, arguments.build, targets)
    for link in home.links:
        link_and_run(home, arguments.source, arguments.build, link)
    return 0


if __name__ == "__main__":
    sys.exit(main())
