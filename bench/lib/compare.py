"""Scenario programs and real programs under spanmalloc and its peers: tables, a picture and every
run in files. Called by bench/compare."""
import argparse
import pathlib
import tempfile

import allocators
import curves
import launcher as launching
import picture
import programs
import results as recording
import rounds
import scenarios
import summary

PACKAGES = ['libjemalloc2', 'libmimalloc2.0', 'libtcmalloc-minimal4', 'libbenchmark-dev']
# (seconds for the rounds, at most so many rounds); curves and preparation come on top.
FULL = (2100, 9)
QUICK = (75, 2)


def arguments():
    parser = argparse.ArgumentParser(prog='bench/compare', description=__doc__)
    add = parser.add_argument
    add('--quick', action='store_true', help='small inputs and two rounds, under three minutes')
    add('--only', action='append', default=[], metavar='SUBSTRING',
        help='only workloads whose name contains it, or "curves"; may be repeated')
    add('--rounds', type=int, help='so many rounds; without --seconds however long they take')
    add('--seconds', type=float, help='stop beginning rounds after this time; at least two')
    add('--library', action='append', default=[], metavar='NAME=PATH',
        help='one more allocator; a peer unless its name begins with spanmalloc')
    add('--picture', type=pathlib.Path, metavar='FILE', help='where the SVG goes')
    add('--markdown', action='store_true', help='the tables also as compare.md in the output')
    add('--from', dest='source', type=pathlib.Path, metavar='RUNS.JSON',
        help='run nothing, make tables and picture from an earlier comparison')
    add('--build', type=pathlib.Path, default=allocators.REPOSITORY / 'build')
    add('--output', type=pathlib.Path, metavar='FOLDER', help='instead of compare/ in the build')
    add('--installed-only', action='store_true', help='leave out peers that are not installed')
    add('--packages', action='store_true', help='print the Debian packages that are needed')
    return parser.parse_args()


def limits(options):
    """(seconds, most rounds) from the options."""
    seconds, most = QUICK if options.quick else FULL
    if options.rounds:
        seconds, most = 1e9, options.rounds
    return options.seconds or seconds, most


def is_chosen(name, options):
    return not options.only or any(part in name for part in options.only)


def choose_workloads(options, folder, launcher):
    """[(workload, kind)] that the options ask for."""
    made = [(workload, kind)
            for kind, make in (('scenario', scenarios.scenarios), ('program', programs.programs))
            for workload in make(options.build, folder, launcher, options.quick)]
    return [(workload, kind) for workload, kind in made if is_chosen(workload.name, options)]


def prepare(workloads, chosen, progress):
    """Makes inputs and sees every allocator in force in every program; ends with a sentence for
    each that is not."""
    failures = []
    for number, workload in enumerate(workloads):
        progress.show(f'{number + 1} of {len(workloads)}: which allocator {workload.name} gets')
        workload.prepare()
        for allocator in chosen:
            try:
                workload.verify(allocator)
            except SystemExit as failure:
                failures.append(f'{workload.name}: {failure}')
    progress.clear()
    if failures:
        raise SystemExit('\n'.join(failures))
    print(f'{len(workloads)} workloads, {len(chosen)} allocators, each seen in force', flush=True)


def measure(options, output):
    """Runs everything that is asked for; returns Results, saved after every round."""
    chosen = allocators.choose(options.build, options.library, options.installed_only)
    launcher = launching.Launcher(options.build / 'bench' / 'bench.launcher')
    progress = rounds.Progress()
    with tempfile.TemporaryDirectory(prefix='spanmalloc-compare-') as folder:
        rows = choose_workloads(options, pathlib.Path(folder), launcher)
        workloads = [workload for workload, _ in rows]
        results = recording.Results([recording.Row(workload.name, kind) for workload, kind in rows],
                                    recording.columns(chosen),
                                    recording.describe_machine(options.quick))

        def save(costs):
            results.costs = {key: list(runs) for key, runs in costs.items()}
            results.save(output / 'runs.json')

        if workloads:
            prepare(workloads, chosen, progress)
            seconds, most = limits(options)
            rounds.measure(workloads, chosen, seconds, min(2, most), most, save)
    if is_chosen('curves', options):
        plan = curves.QUICK if options.quick else curves.FULL
        program = str(options.build / 'bench' / 'bench.curve')
        results.points = curves.measure(program, launcher, chosen, plan, progress)
        results.points += curves.measure_find(options.build, plan.times)
    if not results.costs and not results.points:
        raise SystemExit(f'no workload is called {" or ".join(options.only)}')
    results.save(output / 'runs.json')
    results.save_csv(output / 'runs.csv')
    return results


def main():
    options = arguments()
    if options.packages:
        print('\n'.join(PACKAGES + programs.PACKAGES))
        return
    output = options.output or options.build / 'compare'
    output.mkdir(parents=True, exist_ok=True)
    results = recording.load(options.source) if options.source else measure(options, output)
    text = summary.markdown(results)
    print(text)
    if options.markdown:
        (output / 'compare.md').write_text(text)
    drawing = options.picture or output / 'compare.svg'
    drawing.write_text(picture.draw(results))
    print(f'{drawing} has the picture' +
          ('' if options.source else f', {output / "runs.json"} and runs.csv have every run'))


if __name__ == '__main__':
    main()
