"""Resident memory over time of programs under spanmalloc and its peers: tables, a picture and every
sample in files. Called by bench/memory."""
import argparse
import pathlib
import random
import time

import allocators
import control_group
import memory_picture
import memory_results
import memory_rows
import memory_summary
import results as recording
import rounds
import watch

PACKAGES = ['libjemalloc2', 'libmimalloc2.0', 'libtcmalloc-minimal4']
FULL_ROUNDS, QUICK_ROUNDS = 3, 1


def arguments():
    parser = argparse.ArgumentParser(prog='bench/memory', description=__doc__)
    add = parser.add_argument
    add('--quick', action='store_true', help='one round, less work in the rows that are timed')
    add('--only', action='append', default=[], metavar='SUBSTRING',
        help='only rows whose name contains it; may be repeated')
    add('--rounds', type=int, help='so many rounds')
    add('--library', action='append', default=[], metavar='NAME=PATH',
        help='one more allocator; a peer unless its name begins with spanmalloc')
    add('--picture', type=pathlib.Path, metavar='FILE', help='where the SVG goes')
    add('--markdown', action='store_true', help='the tables also as memory.md in the output')
    add('--from', dest='source', type=pathlib.Path, metavar='RUNS.JSON',
        help='run nothing, make tables and picture from an earlier measurement')
    add('--build', type=pathlib.Path, default=allocators.REPOSITORY / 'build')
    add('--output', type=pathlib.Path, metavar='FOLDER', help='instead of memory/ in the build')
    add('--installed-only', action='store_true', help='leave out peers that are not installed')
    add('--divide', type=int, default=1, metavar='N',
        help='sizes and times of all programs by N, to try whether they run')
    add('--packages', action='store_true', help='print the Debian packages that are needed')
    return parser.parse_args()


def choose_rows(options):
    found = [row for row in memory_rows.ROWS
             if not options.only or any(part in row.name for part in options.only)]
    if not found:
        raise SystemExit(f'no row is called {" or ".join(options.only)}')
    return found


def verify(build, rows, chosen):
    """Sees every allocator in force in every program."""
    for program in sorted({row.program for row in rows}):
        path = build / 'bench' / f'bench.{program}'
        for allocator in chosen:
            allocators.verify(allocator, [path, *map(str, memory_rows.PROBES[program])])


def run_row(row, allocator, options):
    command = [options.build / 'bench' / f'bench.{row.program}',
               *row.words(options.quick, options.divide)]
    if not row.group:
        return watch.run(allocator, command, row.options)
    with control_group.create(row.group // options.divide) as group:
        return watch.run(allocator, command, row.options, group)


def steps_of_round(rows, chosen):
    """(row, allocator) in random order, as often as each row wants."""
    steps = [(row, allocator) for row in rows for allocator in chosen
             for _ in range(row.repeats_under(allocator))]
    random.shuffle(steps)
    return steps


def group_possible():
    group = control_group.create(memory_rows.GROUP_LIMIT)
    if group is None:
        return False
    with group:
        return True


def measure(options, output):
    """Runs the rounds; returns Results, saved after each."""
    chosen = allocators.choose(options.build, options.library, options.installed_only)
    rows = choose_rows(options)
    about = dict(recording.describe_machine(options.quick), group=group_possible())
    if not about['group']:
        rows = [row for row in rows if not row.group]
    verify(options.build, rows, chosen)
    print(f'{len(rows)} rows, {len(chosen)} allocators, each seen in force', flush=True)
    results = memory_results.Results(recording.columns(chosen), about)
    progress = rounds.Progress()
    count = options.rounds or (QUICK_ROUNDS if options.quick else FULL_ROUNDS)
    start = time.monotonic()
    for number in range(count):
        steps = steps_of_round(rows, chosen)
        for position, (row, allocator) in enumerate(steps):
            done = number + position / len(steps)
            left = (time.monotonic() - start) / done * (count - done) if done else 0
            progress.show(f'round {number + 1} of {count}, about {left:3.0f} s left: {row.name} '
                          f'under {allocator.name}')
            results.runs.setdefault((row.name, allocator.name), []).append(
                run_row(row, allocator, options))
        results.save(output / 'runs.json')
    progress.clear()
    results.save_csv(output)
    return results


def main():
    options = arguments()
    if options.packages:
        print('\n'.join(PACKAGES))
        return
    output = options.output or options.build / 'memory'
    output.mkdir(parents=True, exist_ok=True)
    results = memory_results.load(options.source) if options.source else measure(options, output)
    text = memory_summary.markdown(results)
    print(text)
    if options.markdown:
        (output / 'memory.md').write_text(text)
    drawing = options.picture or output / 'memory.svg'
    drawing.write_text(memory_picture.draw(results))
    print(f'{drawing} has the picture' +
          ('' if options.source else f', {output / "runs.json"} and samples.csv have every sample'))


if __name__ == '__main__':
    main()
