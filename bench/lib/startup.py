"""A program that allocates once, under every allocator. Called by bench/startup."""
import argparse
import pathlib
import statistics

import allocators
import launcher as launching


def main():
    parser = argparse.ArgumentParser(prog='bench/startup', description=__doc__)
    parser.add_argument('--runs', type=int, default=300)
    parser.add_argument('--build', type=pathlib.Path, default=allocators.REPOSITORY / 'build')
    options = parser.parse_args()

    chosen = allocators.find(allocators.ALL_PEERS, options.build / 'libspanmalloc.so')
    start = launching.Launcher(options.build / 'bench' / 'bench.launcher')
    program = [str(options.build / 'bench' / 'bench.trivial')]
    for allocator in chosen:
        allocators.verify(allocator, program)
    costs = {allocator.name: [] for allocator in chosen}
    for _ in range(options.runs):
        for allocator in chosen:
            costs[allocator.name].append(start.run(allocator, program)[0])

    print('| allocator  | CPU time | elapsed | peak memory |')
    print('| ---------- | -------: | ------: | ----------: |')
    for name, runs in costs.items():
        processor, elapsed, peak = (statistics.median(getattr(cost, field) for cost in runs)
                                    for field in ('processor', 'elapsed', 'peak'))
        print(f'| {name:10} | {processor * 1e6:5.0f} us | {elapsed * 1e6:4.0f} us '
              f'| {peak * 1024:7.0f} KiB |')
    print(f'\nMedians of {options.runs} runs, allocators in turn.')


main()
