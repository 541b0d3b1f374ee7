"""What hardening costs: programs under glibc and at each level. Called by bench/hardening."""
import argparse
import pathlib
import statistics

import allocators
import launcher as launching
import scenarios

SCENARIOS = ['server, 4 threads', 'producer/consumer mixed, 2 pairs', 'key-value cache',
             'parser trees', 'strings, vectors, maps', 'random replace, 100k live']
# Real programs, on work of their own.
PROGRAMS = {
    'Python: dictionaries of strings': [
        '/usr/bin/python3', '-S', '-c',
        'import sys; [{str(i): [i] for i in range(20000)} for _ in range(int(sys.argv[1]))]', '20'],
    'SQLite: insert and sort': [
        '/usr/bin/sqlite3', ':memory:',
        'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<200000) '
        'SELECT count(*) FROM (SELECT hex(i*7919%200003) AS h FROM n GROUP BY h)'],
}
# Without it Python's own allocator takes the small blocks.
ENVIRONMENT = {'PYTHONMALLOC': 'malloc'}
OPTIONS = ['hardening=0', 'hardening=1', 'hardening=2', 'hardening=3', 'sample_guard=1000',
           'sample_guard=10000']


def rows(build, quick):
    """(name, command) of each program."""
    for name, program, arguments, _ in scenarios.ROWS:
        if name in SCENARIOS:
            words = scenarios.words(arguments, quick)
            yield name, [str(build / 'bench' / f'bench.{program}'), *words]
    for name, command in PROGRAMS.items():
        if pathlib.Path(command[0]).exists():
            yield name, command


def means(table):
    """The geometric means of processor time and of peak memory of each column, the first being 1;
    `table` has (processor, peak) by row and column."""
    return [tuple(statistics.geometric_mean(row[column][what] / row[0][what] for row in table)
                  for what in range(2)) for column in range(len(table[0]))]


def measure(start, columns, command, rounds):
    """Medians of processor seconds and peak MiB of each column, columns in turn."""
    costs = [[] for _ in columns]
    for _ in range(rounds):
        for column, (_, allocator, options) in enumerate(columns):
            environment = dict(ENVIRONMENT, SPANMALLOC_OPTIONS=options)
            costs[column].append(start.run(allocator, command, environment)[0])
    return [(statistics.median(cost.processor for cost in runs),
             statistics.median(cost.peak for cost in runs)) for runs in costs]


def main():
    parser = argparse.ArgumentParser(prog='bench/hardening', description=__doc__)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--quick', action='store_true', help='a fifth of the work')
    parser.add_argument('--only', action='append', help='this row alone; may be repeated')
    parser.add_argument('--options', nargs='+', default=OPTIONS, help='these columns alone')
    parser.add_argument('--build', type=pathlib.Path, default=allocators.REPOSITORY / 'build')
    options = parser.parse_args()

    glibc, own = allocators.find(['glibc'], options.build / 'libspanmalloc.so')
    columns = [('glibc', glibc, '')] + [(f'`{option}`', own, option) for option in options.options]
    start = launching.Launcher(options.build / 'bench' / 'bench.launcher')
    print('| CPU seconds, peak MiB | ' + ' | '.join(name for name, _, _ in columns) + ' |')
    print('|---|' + '---:|' * len(columns))
    table = []
    for name, command in rows(options.build, options.quick):
        if options.only and name not in options.only:
            continue
        medians = measure(start, columns, command, options.rounds)
        table.append(medians)
        cells = (f'{processor:.2f}, {peak:.0f}' for processor, peak in medians)
        print(f'| {name} | ' + ' | '.join(cells) + ' |', flush=True)
    if table:
        cells = (f'{processor:.2f}, {peak:.2f}' for processor, peak in means(table))
        print('| geometric mean, of glibc | ' + ' | '.join(cells) + ' |')
    print(f'\nMedians of {options.rounds} rounds, the columns in turn.')


main()
