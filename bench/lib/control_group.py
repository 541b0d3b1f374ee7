"""A control group with a limit of memory, below the one we are in."""
import os
import pathlib
import time

ROOT = pathlib.Path('/sys/fs/cgroup')
NAME = f'spanmalloc-bench-{os.getpid()}'


def own_path(controller):
    """Where this process is in the hierarchy of a controller ('' for version 2); None if nowhere."""
    for line in pathlib.Path('/proc/self/cgroup').read_text().splitlines():
        _, controllers, path = line.split(':', 2)
        if controller in controllers.split(','):
            return path.lstrip('/')
    return None


class Group:
    """A group of `limit` bytes; leaves nothing behind when the `with` ends."""

    def __init__(self, folder, limit, limit_file):
        self.folder = folder
        folder.mkdir()
        try:
            (folder / limit_file).write_text(str(limit))
        except OSError:
            folder.rmdir()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # A process that was killed leaves the group a moment after it was waited for.
        for _ in range(50):
            try:
                return self.folder.rmdir()
            except OSError:
                time.sleep(0.1)
        return None

    def enter(self):
        """Called in the child between fork and exec."""
        (self.folder / 'cgroup.procs').write_text(str(os.getpid()))


def create(limit):
    """A Group of version 1 or 2; None where this machine, or this user, may not make one."""
    choices = [(ROOT / 'memory', own_path('memory'), 'memory.limit_in_bytes'),
               (ROOT, own_path(''), 'memory.max')]
    for top, path, limit_file in choices:
        if path is None or not (top / path).is_dir():
            continue
        try:
            return Group(top / path / NAME, limit, limit_file)
        except OSError:
            continue
    return None
