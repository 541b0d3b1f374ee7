"""What is aimed at, as numbers that come out of the runs: less is better in all of them."""
import dataclasses
import typing

import memory_rows as rows
from allocators import OWN_NAME as OWN

MIB = 2**20


@dataclasses.dataclass(frozen=True)
class Aim:
    """`value` maps (results, allocator name) to a number or None; spanmalloc is to stay at or
    below `limit`, which may be None."""
    row: str
    label: str
    limit: typing.Optional[float]
    value: typing.Callable
    digits: int = 2


def floor(run):
    """MiB, by the program's own count; None where it did not come so far."""
    found = run.value('floor')
    return found / MIB if found else None


def settled(run, seconds=10):
    """Resident memory over the floor after so many seconds of idleness."""
    resident, least = run.resident_at(seconds), floor(run)
    return resident / least if resident and least else None


def scavenger_share(run):
    """Percent of one processor that other threads than the program's took; None if unknown."""
    taken = run.value('other_threads')
    return None if taken is None else taken / 1e7 / run.elapsed


def thread_growth(run):
    found = run.values('threads')
    return found[-1] / found[0] if found else None


def steps_missed(row):
    """How many steps of the program were left when it was killed."""
    steps = next(found.arguments[2] for found in rows.ROWS if found.name == row)
    return lambda results, name: results.median(row, name,
                                                lambda run: steps - len(run.values('step')))


def to_base(row, field, base):
    """The ratio to allocator `base` in the same round."""
    def value(results, name):
        return results.ratio((row, name), (row, base), lambda run: getattr(run, field))
    return value


def on_to_off(row, field):
    def value(results, name):
        return results.ratio((row, name), (f'{row}, scavenger=0', name),
                             lambda run: getattr(run, field))
    return value


def of_run(row, value_of_run):
    return lambda results, name: results.median(row, name, value_of_run)


def limited(results, name):
    """Peers have no such option; their figure is that of the same program without."""
    row = rows.LIMITED if name.startswith(OWN) else rows.STEPS
    return results.median(row, name, lambda run: run.peak)


def sawtooth_aims(row):
    return [Aim(row, 'CPU time, scavenger on / off', 1.03, on_to_off(row, 'processor'), 3),
            Aim(row, 'elapsed, scavenger on / off', 1.03, on_to_off(row, 'elapsed'), 3),
            Aim(row, 'page faults, scavenger on / off', None, on_to_off(row, 'faults')),
            Aim(row, 'its threads, percent of a processor', 1.5, of_run(row, scavenger_share))]


AIMS = [
    Aim(rows.FRAGMENTED, 'RSS / floor after 10 s', 1.10, of_run(rows.FRAGMENTED, settled)),
    Aim(rows.BLOCKED, 'RSS / floor after 10 s', 1.10, of_run(rows.BLOCKED, settled)),
    Aim(rows.IDLE, 'RSS after 10 s, MiB', None,
        of_run(rows.IDLE, lambda run: run.resident_at(10)), 1),
    *(aim for row in rows.SAWTEETH for aim in sawtooth_aims(row)),
    Aim(rows.LIMITED, 'peak, MiB', rows.LIMIT / MIB + 16, limited, 0),
    *(Aim(row, 'steps of 20 after it was killed', 0, steps_missed(row), 0)
      for row in (rows.GROUP, rows.GROUP_TRIMMED)),
    Aim(rows.TOUCH, 'CPU time / mimalloc', 1.0, to_base(rows.TOUCH, 'processor', 'mimalloc')),
    Aim(rows.REPLACE, 'CPU time / mimalloc', 1.0, to_base(rows.REPLACE, 'processor', 'mimalloc')),
    *(Aim(row, f'{text} / glibc', 1.1, to_base(row, field, 'glibc'))
      for row in (rows.GROW_LARGE, rows.GROW_SMALL)
      for field, text in (('processor', 'CPU time'), ('peak', 'peak'))),
    Aim(rows.THREADS, 'RSS, last / after 1000', 1.05, of_run(rows.THREADS, thread_growth)),
]
