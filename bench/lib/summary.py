"""The report of a comparison in Markdown."""
import math
import statistics

import report as reporting
import table

# (field, heading, unit, digits)
FIELDS = [('processor', 'CPU time', 's', 2), ('elapsed', 'Elapsed', 's', 2),
          ('peak', 'Peak memory', 'MiB', 0)]
CURVES = {'threads': ('CPU time per malloc and free of a server mix, by threads', 'ns'),
          'live': ('CPU time per replacement of a random object, by live objects', 'ns'),
          'visit': ('A write to a random object without malloc, by live objects', 'ns'),
          'find': ('Page allocator, find and free of a run of pages, by GiB of heap', 'ns')}


def with_noise(ratio):
    if math.isinf(ratio.noise):
        return f'{ratio.value:.2f}'
    return f'{ratio.value:.2f} ± {ratio.noise:.2f}'


def ratio_cells(report, row, field, names):
    """A row's cells: ratios to glibc, the best peer, spanmalloc's ratio to it."""
    return [f'{report.ratio(row, name, reporting.BASE, field).value:.2f}' for name in names] + [
        report.best_peer(row, field), with_noise(report.to_best(row, field))]


def measure_table(report, field, unit, digits):
    """A line per row and the geometric means."""
    names = [column.name for column in report.results.columns if column.name != reporting.BASE]
    lines = [['', f'glibc, {unit}', *names, 'best peer', 'spanmalloc / best']]
    for row in report.rows():
        lines.append([row, f'{report.median(row, reporting.BASE, field):.{digits}f}',
                      *ratio_cells(report, row, field, names)])
    for heading, rows in report.groups():
        means = [f'{report.mean_to_glibc(rows, name, field).value:.3f}' for name in names]
        lines.append([f'geometric mean, {heading}', '', *means,
                      f'frontier {report.frontier_to_glibc(rows, field).value:.3f}',
                      f'{report.mean_to_frontier(rows, field).value:.3f}'])
    return table.align(lines)


def mean_with_noise(ratio):
    return f'{ratio.value:.3f}' + ('' if math.isinf(ratio.noise) else f' ± {ratio.noise:.3f}')


def means_table(report):
    """Geometric means of all measures."""
    names = [column.name for column in report.results.columns if column.name != reporting.BASE]
    lines = [['geometric means, glibc = 1', *names, 'frontier', 'spanmalloc / frontier',
              'foreseen']]
    for field, heading, _, _ in FIELDS:
        for group, rows in report.groups():
            lines.append([f'{heading}, {group} ({len(rows)})'] +
                         [f'{report.mean_to_glibc(rows, name, field).value:.3f}'
                          for name in names] +
                         [f'{report.frontier_to_glibc(rows, field).value:.3f}',
                          mean_with_noise(report.mean_to_frontier(rows, field)),
                          mean_with_noise(report.mean_to_foreseen(rows, field))])
    return table.align(lines)


def verdict(ratio):
    if math.isinf(ratio.noise):
        return 'too few rounds to tell'
    for limit in (1.05, 1.0):
        if ratio.above(limit):
            return f'above {limit:.2f} beyond noise'
    return 'within noise'


def worse_table(report, field):
    """The rows above their best peer, or a sentence that there is none."""
    worse = report.worse_rows(field)
    if not worse:
        return f'In none of {len(report.rows())} rows is spanmalloc above its best peer.'
    lines = [['', 'best peer', 'spanmalloc / best', 'spanmalloc / glibc', '']]
    for row in worse:
        ratio = report.to_best(row, field)
        to_glibc = report.ratio(row, reporting.OWN, reporting.BASE, field)
        lines.append([row, report.best_peer(row, field), with_noise(ratio), with_noise(to_glibc),
                      verdict(ratio)])
    return table.align(lines)


def figures_table(report):
    """What programs measured themselves, in absolute medians."""
    names = [column.name for column in report.results.columns]
    lines = [['', *names, 'best peer', 'spanmalloc / best']]
    for row, figure in report.figure_rows():
        lines.append([f'{row}: {figure}'] +
                     [f'{report.median(row, name, figure):.0f}' for name in names] +
                     [report.best_peer(row, figure), with_noise(report.to_best(row, figure))])
    return table.align(lines)


def curve_tables(results):
    """A table for each curve, a line per allocator; the last column is the growth."""
    for curve, (heading, unit) in CURVES.items():
        points = [point for point in results.points if point.curve == curve]
        sizes = sorted({point.size for point in points})
        lines = [[f'{heading}, {unit}', *(f'{size:,}' for size in sizes), 'last / first']]
        for name in dict.fromkeys(point.allocator for point in points):
            values = {point.size: statistics.median(point.nanoseconds) for point in points
                      if point.allocator == name}
            lines.append([name] + [f'{values[size]:.1f}' if size in values else ''
                                   for size in sizes] +
                         [f'{values[max(values)] / values[min(values)]:.2f}'])
        if points:
            yield table.align(lines)


def conditions(results):
    """Date, machine, versions and rounds in a sentence or two."""
    about = results.about
    versions = ''.join(f'; {column.name} {column.version}' for column in results.columns
                       if column.version)
    return (f'Measured {about["date"]} on {about["processors"]} processors {about["processor"]}, '
            f'{about["memory GiB"]} GiB, Linux {about["kernel"]}, transparent huge pages '
            f'{about["huge pages"]}{versions}. Medians of {results.rounds} rounds'
            f'{" of the quick inputs" if about["quick"] else ""}; ratios are medians over the '
            'rounds of the ratio within a round, less is better.')


def markdown(results):
    """All tables."""
    report = reporting.Report(results)
    parts = [conditions(results)]
    if results.rows:
        parts.append(means_table(report))
        for field, heading, unit, digits in FIELDS:
            parts += [f'### {heading}', 'glibc absolute, the others as ratios to it.',
                      measure_table(report, field, unit, digits)]
        for field, heading, _, _ in FIELDS:
            parts += [f'### Above the best peer: {heading}', worse_table(report, field)]
    if report.figure_rows():
        parts += ['### Measured by the programs', figures_table(report)]
    curves = list(curve_tables(results))
    if curves:
        parts += ['### Cost as work grows', *curves]
    return '\n\n'.join(parts) + '\n'
