"""The allocators that are compared, and the proof that a program really runs on one of them."""
import dataclasses
import functools
import os
import pathlib
import re
import subprocess
import tempfile

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PACKAGED = {
    # glibc is preloaded like the rest: a program that is itself linked to another allocator, as
    # redis-server is on Debian, uses it all the same.
    'glibc': 'libc.so.6',
    'jemalloc': 'libjemalloc.so.2',
    'mimalloc': 'libmimalloc.so.2',
    'tcmalloc': 'libtcmalloc_minimal.so.4',
}
PEERS = ['glibc', 'jemalloc']
ALL_PEERS = ['glibc', 'jemalloc', 'mimalloc', 'tcmalloc']

OWN_NAME = 'spanmalloc'

BINDING = re.compile(r'binding file (\S+) \[0\] to (\S+) \[0\]: normal symbol `malloc\'')


@dataclasses.dataclass(frozen=True)
class Allocator:
    """A name for tables and the library to preload."""
    name: str
    library: str

    @property
    def kind(self):
        """'glibc', 'own' (also for other builds of spanmalloc) or 'peer'."""
        if self.name == 'glibc':
            return 'glibc'
        return 'own' if self.name.startswith(OWN_NAME) else 'peer'


def library_path(file_name):
    """Where the dynamic linker finds a library."""
    listing = subprocess.run(['/sbin/ldconfig', '-p'], check=True, stdout=subprocess.PIPE,
                             text=True).stdout
    for line in listing.splitlines():
        if line.split() and line.split()[0] == file_name and 'x32' not in line:
            return line.split()[-1]
    raise SystemExit(f'{file_name} is not installed')


def find(names, own_library):
    """The named peers and spanmalloc from the file `own_library`, in the order of the table."""
    chosen = [Allocator(name, library_path(PACKAGED[name])) for name in names]
    own = pathlib.Path(own_library).resolve()
    if not own.exists():
        raise SystemExit(f'{own} does not exist; build it first')
    return chosen + [Allocator(OWN_NAME, str(own))]


def installed(names):
    """Those of the packaged allocators that this machine has."""
    def present(name):
        try:
            return bool(library_path(PACKAGED[name]))
        except SystemExit:
            return False
    return [name for name in names if present(name)]


def from_option(text):
    """The allocator that the option `--library name=path` adds."""
    name, equals, path = text.partition('=')
    library = pathlib.Path(path)
    if not (name and equals and library.is_file()):
        raise SystemExit(f'--library {text}: expected name=path of a library that exists')
    return Allocator(name, str(library.resolve()))


def choose(build, library_options, installed_only):
    """All peers, what the options `--library` add, and the spanmalloc of a build folder, last."""
    names = installed(ALL_PEERS) if installed_only else ALL_PEERS
    *peers, own = find(names, build / 'libspanmalloc.so')
    chosen = peers + [from_option(text) for text in library_options] + [own]
    if len({allocator.name for allocator in chosen}) < len(chosen):
        raise SystemExit('two allocators have the same name')
    return chosen


def bindings(allocator, command, environment):
    """Runs `command` once; returns the (user, provider) files of every use of malloc in it and
    its children, by the dynamic linker's trace."""
    with tempfile.TemporaryDirectory() as folder:
        trace = dict(os.environ, **(environment or {}), LD_PRELOAD=allocator.library,
                     LD_BIND_NOW='1', LD_DEBUG='bindings', LD_DEBUG_OUTPUT=f'{folder}/trace')
        done = subprocess.run(command, env=trace, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                              errors='replace', check=False)
        if done.returncode != 0:
            raise SystemExit(f'{command[0]} fails under {allocator.name} with status '
                             f'{done.returncode}: {done.stderr[-1000:]}')
        return [match for path in pathlib.Path(folder).iterdir()
                for match in BINDING.findall(path.read_text(errors='replace'))]


def strays(allocator, uses):
    """Those of the (user, provider) bindings that pass the allocator by.

    A program that takes the address of malloc lends all libraries its own jump to it, and so
    stands as their provider; it counts when it is itself bound to the allocator. A program that
    has a malloc of its own, or ignores the preload since it is set-uid or static, does not."""
    wanted = os.path.realpath(allocator.library)
    direct = {user for user, provider in uses if os.path.realpath(provider) == wanted}
    return {(user, provider) for user, provider in uses
            if os.path.realpath(provider) != wanted and provider not in direct}


@functools.lru_cache(maxsize=None)
def verify_once(allocator, command, environment):
    uses = bindings(allocator, command, dict(environment))
    missed = strays(allocator, uses)
    if not uses or missed:
        raise SystemExit(f'{allocator.name} is not in force in {command[0]}: '
                         f'{sorted(missed) or "no use of malloc was seen"}')


def verify(allocator, command, environment=None):
    """Runs `command` once and fails unless the dynamic linker binds every use of malloc, in the
    program, its libraries and its children, to the allocator. A command that was seen is not run
    again."""
    verify_once(allocator, tuple(str(word) for word in command),
                tuple(sorted((environment or {}).items())))
