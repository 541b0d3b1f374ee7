"""Interleaved rounds: in each, every workload runs once under every allocator, in random order, so
that a slow minute of the machine falls on all."""
import random
import sys
import time


class Progress:
    """Says on standard error what runs and how long it will take still."""

    def __init__(self):
        self.terminal = sys.stderr.isatty()

    def show(self, text):
        if self.terminal:
            sys.stderr.write(f'\r\033[K{text}')
        else:
            sys.stderr.write(f'{text}\n')
        sys.stderr.flush()

    def clear(self):
        if self.terminal:
            sys.stderr.write('\r\033[K')


def rounds_within(seconds, round_seconds, fewest, most):
    """How many rounds of `round_seconds` fit."""
    return max(fewest, min(most, int(seconds / round_seconds)))


def check_output(workload, allocator, output, outputs):
    """Fails when a program printed something else than it did under the allocator before."""
    if outputs.setdefault(workload.name, output) != output:
        raise SystemExit(f'{workload.name} under {allocator.name} printed something else: '
                         f'{output[:500]!r}')


def measure(workloads, allocators, seconds, fewest=2, most=9, after_round=lambda costs: None):
    """Runs as many rounds as fit into `seconds`, judged by the rounds before; calls
    `after_round(costs so far)` at the end of each.

    Returns {(workload name, allocator name): [Cost of round 0, round 1, ...]}."""
    progress = Progress()
    start = time.monotonic()
    expected = {workload.name: workload.seconds for workload in workloads}
    costs, outputs = {}, {}
    order = random.Random()
    number, count = 0, None
    while count is None or number < count:
        pairs = [(workload, allocator) for workload in workloads for allocator in allocators]
        order.shuffle(pairs)
        for position, (workload, allocator) in enumerate(pairs):
            spent = time.monotonic() - start
            round_seconds = sum(expected.values()) * len(allocators)
            total = count or rounds_within(seconds, round_seconds, fewest, most)
            share = sum(expected[w.name] for w, _ in pairs[position:])
            left = share + (total - number - 1) * round_seconds
            progress.show(f'round {number + 1} of {total}, about {left:3.0f} s left: '
                          f'{workload.name} under {allocator.name}')
            begin = time.monotonic()
            cost, output = workload.run(allocator)
            expected[workload.name] = ((expected[workload.name] if number else 0) +
                                       time.monotonic() - begin) / (2 if number else 1)
            costs.setdefault((workload.name, allocator.name), []).append(cost)
            check_output(workload, allocator, output, outputs)
        number += 1
        after_round(costs)
        spent = time.monotonic() - start
        count = rounds_within(seconds, spent / number, fewest, most)
    progress.clear()
    return costs
