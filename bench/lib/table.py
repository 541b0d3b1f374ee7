"""Medians, ratios and the one table."""
import math
import statistics

# Field of Cost, heading of the group, unit, digits.
GROUPS = [('elapsed', 'elapsed', 's', 2), ('processor', 'CPU time', 's', 2),
          ('peak', 'peak memory', 'MiB', 0)]


def median(costs, field):
    return statistics.median(getattr(cost, field) for cost in costs)


def ratio(costs, base, field):
    """Median over the rounds of the ratio within one round."""
    return statistics.median(getattr(cost, field) / getattr(other, field)
                             for cost, other in zip(costs, base))


def geometric_mean(values):
    return math.exp(statistics.fmean(math.log(value) for value in values))


def rows(costs, workloads, allocators, groups):
    """Cells as text: a row per workload with the first allocator absolute and the others as
    ratios to it, and a last row of geometric means."""
    base = allocators[0]
    means = {(field, name): [] for field, *_ in groups for name in allocators[1:]}
    for workload in workloads:
        cells = [workload]
        for field, _, unit, digits in groups:
            cells.append(f'{median(costs[workload, base], field):.{digits}f} {unit}')
            for name in allocators[1:]:
                value = ratio(costs[workload, name], costs[workload, base], field)
                means[field, name].append(value)
                cells.append(f'{value:.2f}')
        yield cells
    cells = ['geometric mean']
    for field, *_ in groups:
        cells += [''] + [f'{geometric_mean(means[field, name]):.2f}' for name in allocators[1:]]
    yield cells


def align(lines):
    """Lines of cells, the first the heading, as a table in Markdown; all but the first column are
    set to the right."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    ruler = ['-' * widths[0]] + ['-' * (width - 1) + ':' for width in widths[1:]]
    return '\n'.join(
        '| ' + ' | '.join([line[0].ljust(widths[0])] +
                          [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])]) + ' |'
        for line in [lines[0], ruler, *lines[1:]])


def render(costs, workloads, allocators, groups=None):
    """The table in Markdown, columns aligned."""
    groups = groups or GROUPS
    lines = [[''] + [f'{heading} {name}' if position == 0 else name
                     for _, heading, _, _ in groups for position, name in enumerate(allocators)]]
    lines += list(rows(costs, workloads, allocators, groups))
    return align(lines)


def spread(costs):
    """The widest half-range of elapsed time over its median, of all workloads and allocators."""
    return max((max(c.elapsed for c in runs) - min(c.elapsed for c in runs)) / 2 /
               median(runs, 'elapsed') for runs in costs.values())
