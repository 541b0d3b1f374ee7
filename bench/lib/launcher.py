"""Running a program under an allocator and reading what it cost."""
import dataclasses
import os
import subprocess
import tempfile


@dataclasses.dataclass(frozen=True)
class Cost:
    """Seconds on the clock, seconds of processor time, MiB of peak resident memory; figures that
    the program measured itself by name, in the unit the name gives, less being better."""
    elapsed: float
    processor: float
    peak: float
    figures: dict = dataclasses.field(default_factory=dict)


class Launcher:
    """Starts programs through the static launcher, which holds next to no memory itself."""

    def __init__(self, program):
        self.program = str(program)

    def start(self, allocator, command, environment=None):
        """Starts `command`; the caller ends it and then calls finish()."""
        result = tempfile.NamedTemporaryFile('r')
        process = subprocess.Popen(
            [self.program, allocator.library, result.name] + [str(word) for word in command],
            env=dict(os.environ, **(environment or {})), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        return process, result

    @staticmethod
    def finish(process, result):
        """Waits for the program; returns its Cost and its standard output."""
        output, errors = process.communicate()
        with result:
            fields = result.read().split()
        if process.returncode != 0 or len(fields) != 5 or fields[4] != '0':
            raise SystemExit(f'{" ".join(process.args[1:])} failed with wait status '
                             f'{fields[4:] or "unknown"}: {output[-1000:]}{errors[-1000:]}')
        elapsed, user, system, peak = (int(field) for field in fields[:4])
        return Cost(elapsed / 1e6, (user + system) / 1e6, peak / 1024), output

    def run(self, allocator, command, environment=None):
        """Runs `command` to its end; returns its Cost and its standard output."""
        return self.finish(*self.start(allocator, command, environment))
