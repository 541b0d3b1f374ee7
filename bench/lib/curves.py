"""The curves of cost as work grows: processor time per operation by threads, by live objects and,
of spanmalloc's page allocator alone, by the size of the heap."""
import dataclasses
import json
import random
import re
import subprocess
import time

import allocators
import results as recording


@dataclasses.dataclass(frozen=True)
class Plan:
    """What to run: sizes and operations of each curve, times each point is measured."""
    threads: tuple
    live: tuple
    operations: dict
    times: int


FULL = Plan((2, 4, 8, 16, 32, 64), (1000, 10000, 100000, 1000000, 10000000),
            {'threads': 500000, 'live': 3000000, 'visit': 3000000}, 5)
QUICK = Plan((2, 8, 64), (1000, 30000, 1000000),
             {'threads': 50000, 'live': 300000, 'visit': 300000}, 1)

FIND = re.compile(r'page_allocator/find/(\d+)(GiB|TiB)\b')
NANOSECONDS = {'ns': 1, 'us': 1e3, 'ms': 1e6, 's': 1e9}


def steps(plan, chosen):
    """(curve, size, allocator) of every point. 'visit' is what a write to the objects costs
    without malloc; the one allocator under test stands for all."""
    own = next(allocator for allocator in chosen if allocator.name == allocators.OWN_NAME)
    for allocator in chosen:
        for size in plan.threads:
            yield 'threads', size, allocator
        for size in plan.live:
            yield 'live', size, allocator
    for size in plan.live:
        yield 'visit', size, own


def measure(program, launcher, chosen, plan, progress):
    """Runs every point `plan.times` times in random order; returns Points. `program` is
    bench.curve, which prints nanoseconds."""
    for allocator in chosen:
        allocators.verify(allocator, [program, 'threads', '1', '10'])
    order = list(steps(plan, chosen))
    values = {}
    start, done = time.monotonic(), 0
    for _ in range(plan.times):
        random.shuffle(order)
        for curve, size, allocator in order:
            spent = time.monotonic() - start
            left = spent / done * (len(order) * plan.times - done) if done else 0
            progress.show(f'curves, about {left:3.0f} s left: {curve} {size} under '
                          f'{allocator.name}')
            _, output = launcher.run(allocator, [program, curve, str(size),
                                                 str(plan.operations[curve])])
            values.setdefault((curve, size, allocator.name), []).append(float(output))
            done += 1
    progress.clear()
    return [recording.Point(curve, size, name, values[curve, size, name])
            for curve, size, name in ((curve, size, allocator.name)
                                      for curve, size, allocator in steps(plan, chosen))]


def find_points(record):
    """The points of the curve 'find', sizes in GiB, from what the micro benchmark of the pages
    layer wrote as JSON."""
    found = {}
    for run in record['benchmarks']:
        match = FIND.match(run['name'])
        if match and run.get('run_type') != 'aggregate':
            size = int(match.group(1)) * (1024 if match.group(2) == 'TiB' else 1)
            found.setdefault(size, []).append(run['cpu_time'] * NANOSECONDS[run['time_unit']])
    return [recording.Point('find', size, allocators.OWN_NAME, found[size])
            for size in sorted(found)]


def measure_find(build, times):
    """Runs the micro benchmark of the page allocator; no points where it is not built."""
    program = build / 'bench' / 'bench.micro_pages'
    if not program.exists():
        return []
    output = subprocess.run([program, '--benchmark_filter=^page_allocator/find/',
                             '--benchmark_format=json', f'--benchmark_repetitions={times}'],
                            check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                            text=True).stdout
    return find_points(json.loads(output))
