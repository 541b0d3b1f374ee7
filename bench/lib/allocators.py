"""The allocators that are compared, and the proof that a program really runs on one of them."""
import dataclasses
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

BINDING = re.compile(r'binding file (\S+) \[0\] to (\S+) \[0\]: normal symbol `malloc\'')


@dataclasses.dataclass(frozen=True)
class Allocator:
    """A name for tables and the library to preload."""
    name: str
    library: str


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
    return chosen + [Allocator('spanmalloc', str(own))]


def verify(allocator, command, environment=None):
    """Runs `command` once and fails unless the dynamic linker binds every use of malloc, in the
    program, its libraries and its children, to the allocator."""
    with tempfile.TemporaryDirectory() as folder:
        trace = dict(os.environ, **(environment or {}), LD_PRELOAD=allocator.library,
                     LD_BIND_NOW='1', LD_DEBUG='bindings', LD_DEBUG_OUTPUT=f'{folder}/trace')
        subprocess.run(command, env=trace, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=True)
        bindings = [match for path in pathlib.Path(folder).iterdir()
                    for match in BINDING.findall(path.read_text(errors='replace'))]
    wanted = os.path.realpath(allocator.library)
    direct = {user for user, provider in bindings if os.path.realpath(provider) == wanted}
    # A program that takes the address of malloc lends all libraries its own jump to it.
    strays = {(user, provider) for user, provider in bindings
              if os.path.realpath(provider) != wanted and provider not in direct}
    if not bindings or strays:
        raise SystemExit(f'{allocator.name} is not in force in {command[0]}: '
                         f'{sorted(strays) or "no use of malloc was seen"}')
