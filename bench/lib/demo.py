"""Real programs under glibc, jemalloc and spanmalloc: one table. Called by bench/demo."""
import argparse
import json
import os
import pathlib
import tempfile

import allocators
import rounds
import table
import workloads


def arguments():
    parser = argparse.ArgumentParser(prog='bench/demo', description=__doc__)
    parser.add_argument('--all-peers', action='store_true', help='also mimalloc and tcmalloc')
    parser.add_argument('--seconds', type=float, default=225, help='time for the rounds')
    parser.add_argument('--rounds', type=int, default=9, help='at most so many rounds')
    parser.add_argument('--only', default='', help='only workloads whose name contains this')
    parser.add_argument('--build', type=pathlib.Path, default=allocators.REPOSITORY / 'build')
    return parser.parse_args()


def main():
    options = arguments()
    peers = allocators.ALL_PEERS if options.all_peers else allocators.PEERS
    chosen = allocators.find(peers, options.build / 'libspanmalloc.so')
    with tempfile.TemporaryDirectory(prefix='spanmalloc-demo-') as folder:
        programs = [program for program in workloads.demo(options.build, pathlib.Path(folder))
                    if options.only in program.name]
        for program in programs:
            program.prepare()
            for allocator in chosen:
                program.verify(allocator)
        print(f'{len(programs)} programs, {len(chosen)} allocators, each seen in force', flush=True)
        costs = rounds.measure(programs, chosen, options.seconds, most=options.rounds)
    names = [allocator.name for allocator in chosen]
    print(table.render(costs, [program.name for program in programs], names))
    print(f'\nglibc in seconds and MiB, the others as ratios to it (less is better); medians of '
          f'{len(next(iter(costs.values())))} rounds on {os.cpu_count()} processors. '
          f'Elapsed times vary by up to {table.spread(costs):.0%} within a program.')
    record = [{'workload': workload, 'allocator': name, 'runs': [vars(cost) for cost in runs]}
              for (workload, name), runs in costs.items()]
    (options.build / 'demo.json').write_text(json.dumps(record, indent=1))


main()
