"""Runs a program under an allocator and watches its memory from outside."""
import dataclasses
import os
import pathlib
import re
import resource
import select
import signal
import subprocess
import tempfile
import time

INTERVAL = 0.05     # seconds between two samples
MIB = 2**20


@dataclasses.dataclass
class Run:
    """What one run of a program came to.

    `samples` are [seconds, resident MiB]; `marks` are [seconds, name, value], what the program
    said itself; both count from the mark "idle" when there is one, else from the start. Peak in
    MiB, elapsed and processor time in seconds, page faults without input; `outcome` is 'ended',
    'killed' or 'stopped' (by us, for taking too long)."""
    outcome: str
    elapsed: float
    processor: float
    faults: int
    peak: float
    samples: list
    marks: list

    def values(self, name):
        """The values of all marks of this name."""
        return [value for _, mark, value in self.marks if mark == name]

    def value(self, name):
        """The value of the last mark of this name; None where the program did not come so far."""
        return self.values(name)[-1] if self.values(name) else None

    def resident_at(self, seconds):
        """The last sample taken until then and before the end of idleness, in MiB."""
        ends = [when for when, mark, _ in self.marks if mark == 'idle_end']
        last = min([seconds, *ends])
        before = [resident for when, resident in self.samples if when <= last]
        return before[-1] if before else None


def resident_and_peak(process_id):
    """MiB; None when the process is about to end and has no memory any more."""
    try:
        text = pathlib.Path(f'/proc/{process_id}/status').read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    found = [re.search(rf'{name}:\s*(\d+) kB', text) for name in ('VmRSS', 'VmHWM')]
    return tuple(int(match.group(1)) / 1024 for match in found) if all(found) else None


def watch(process, start, limit):
    """Samples until the process ends; returns (samples, peak, usage, stopped)."""
    samples, peak, stopped = [], 0.0, False
    ended = os.pidfd_open(process.pid)
    try:
        while True:
            found = resident_and_peak(process.pid)
            if found:
                samples.append([time.monotonic() - start, found[0]])
                peak = max(peak, found[1])
            if select.select([ended], [], [], INTERVAL)[0]:
                break
            if time.monotonic() - start > limit and not stopped:
                process.send_signal(signal.SIGKILL)
                stopped = True
    finally:
        os.close(ended)
    _, status, usage = os.wait4(process.pid, 0)
    # The kernel begins a child's peak at that of its parent: what is higher is the child's.
    if usage.ru_maxrss > resource.getrusage(resource.RUSAGE_SELF).ru_maxrss:
        peak = usage.ru_maxrss / 1024
    process.returncode = os.waitstatus_to_exitcode(status)
    return samples, peak, usage, stopped


def read_marks(text, start):
    """[seconds, name, value] of each line "<nanoseconds> <name> <value>"."""
    found = re.findall(r'^(\d+) (\w+) (\d+)$', text, re.MULTILINE)
    return [[int(when) / 1e9 - start, name, int(value)] for when, name, value in found]


def counted_from_idle(samples, marks):
    zero = next((when for when, name, _ in marks if name == 'idle'), 0.0)
    return ([[round(when - zero, 3), round(resident, 3)] for when, resident in samples],
            [[round(when - zero, 3), name, value] for when, name, value in marks])


def run(allocator, command, options='', group=None, limit=120):
    """Runs `command` with the allocator preloaded, in the control group if one is given, and
    SPANMALLOC_OPTIONS as given; returns a Run. A program that fails by itself ends all."""
    environment = dict(os.environ, LD_PRELOAD=allocator.library, SPANMALLOC_OPTIONS=options)
    with tempfile.TemporaryFile('w+') as output, tempfile.TemporaryFile('w+') as errors:
        start = time.monotonic()
        process = subprocess.Popen(
            [str(word) for word in command], env=environment, stdin=subprocess.DEVNULL,
            stdout=output, stderr=errors, preexec_fn=group.enter if group else None)
        samples, peak, usage, stopped = watch(process, start, limit)
        elapsed = time.monotonic() - start
        output.seek(0)
        errors.seek(0)
        text, complaint = output.read(), errors.read()
    if process.returncode not in (0, -signal.SIGKILL):
        raise SystemExit(f'{" ".join(map(str, command))} under {allocator.name} ended with '
                         f'{process.returncode}: {text[-500:]}{complaint[-500:]}')
    samples, marks = counted_from_idle(samples, read_marks(text, start))
    outcome = 'stopped' if stopped else 'killed' if process.returncode else 'ended'
    return Run(outcome, elapsed, usage.ru_utime + usage.ru_stime, usage.ru_minflt, peak, samples,
               marks)
