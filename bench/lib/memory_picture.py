"""The picture of the memory benchmark: resident memory over time, a panel for each program."""
import statistics

import chart
import memory_aims as aims
import memory_rows as rows
from allocators import OWN_NAME as OWN

HEIGHT = 230        # of a plot
SPACE = 84          # between the plots of two lines
THIN = 0.8          # pixels; samples closer to a straight line are left out

# (row, row in which spanmalloc runs, title, what the axis counts from)
PANELS = [
    (rows.FRAGMENTED, rows.FRAGMENTED, '400 MiB, 90 % freed at random, five times; then idle',
     'seconds of idleness'),
    (rows.BLOCKED, rows.BLOCKED, '64 threads after a burst, blocked', 'seconds of idleness'),
    (rows.IDLE, rows.IDLE, '300 MiB, all freed; then idle', 'seconds of idleness'),
    (rows.STEPS, rows.LIMITED, '25 to 179 MiB live, spanmalloc with a limit of 256 MiB', 'seconds'),
]


def typical(results, row, name):
    """The run whose last sample is the median; None where there is none."""
    runs = sorted((run for run in results.of(row, name) if run.samples),
                  key=lambda run: run.samples[-1][1])
    return runs[(len(runs) - 1) // 2] if runs else None


def looks(results):
    """{allocator: class}; spanmalloc stands out, and comes last, on top."""
    others = [name for name in results.names() if name not in ('glibc', OWN)]
    found = {'glibc': 'base'}
    found.update({name: f'a{number % 5}' for number, name in enumerate(others)})
    found[OWN] = 'own'
    return found


def shown(run):
    """The samples that are drawn: from three seconds before idleness to its end."""
    marks = {name: when for when, name, _ in run.marks}
    end = marks.get('idle_end', run.samples[-1][0])
    start = -3 if 'idle' in marks else 0
    return [(when, resident) for when, resident in run.samples if start <= when <= end]


def thinned(points):
    """The points of a line without those that lie on the straight line of their neighbours."""
    kept = points[:1]
    for index in range(1, len(points) - 1):
        (x0, y0), (x1, y1), (x2, y2) = kept[-1], points[index], points[index + 1]
        straight = y0 + (y2 - y0) * (x1 - x0) / (x2 - x0) if x2 > x0 else y0
        if abs(y1 - straight) > THIN or x2 - x0 > 60:
            kept.append(points[index])
    return kept + points[-1:]


def scale(across, up, left, right):
    elements = []
    for tick in up.ticks():
        elements += [chart.line(left, up(tick), right, up(tick)),
                     chart.text(left - 6, up(tick) + 4, chart.short(tick), 'faint small', 'end')]
    for tick in across.ticks():
        elements.append(chart.text(across(tick), up.start + 16, chart.short(tick), 'faint small',
                                   'middle'))
    return elements


def level(across, up, value, words, at):
    """A dashed line across the plot with its meaning below, or above where there is no room; `at`
    is how far to the right the words begin."""
    y = up(value) - 4 if up.start - up(value) < 20 else up(value) + 13
    return [chart.line(across.start, up(value), across.end, up(value), 'one',
                       stroke_dasharray='4 4'),
            chart.text(across.start + at * (across.end - across.start), y, words, 'faint small')]


def plot(results, panel, looks_of, left, top):
    """One panel; nothing where its row was not run."""
    row, own_row, title, unit = panel
    runs = {name: typical(results, own_row if name == OWN else row, name) for name in looks_of}
    runs = {name: run for name, run in runs.items() if run}
    if not runs:
        return []
    lines = {name: shown(run) for name, run in runs.items()}
    right = left + (chart.WIDTH - 3 * chart.MARGIN) / 2
    times = [when for points in lines.values() for when, _ in points]
    highest = max(resident for points in lines.values() for _, resident in points)
    limit = rows.LIMIT / 2**20 if own_row == rows.LIMITED else None
    across = chart.Axis(min(times), max(times), left + 40, right)
    up = chart.Axis(0, max(highest, limit or 0) * 1.05, top + 30 + HEIGHT, top + 30)
    elements = [chart.text(left, top, title, 'ink bold'),
                chart.text(left, top + 18, 'resident MiB', 'faint small'),
                chart.text(right, up.start + 32, unit, 'faint small', 'end'),
                *scale(across, up, left + 40, right)]
    floors = [aims.floor(run) for run in runs.values() if aims.floor(run)]
    if floors:
        elements += level(across, up, statistics.median(floors), 'pages with a live byte', at=0.4)
    if limit:
        elements += level(across, up, limit, 'memory_limit', at=0.01)
    for name, points in lines.items():
        line = thinned([(across(when), up(resident)) for when, resident in points])
        elements.append(chart.element('polyline', [chart.element('title', name)],
                                      points=' '.join(f'{x:.1f},{y:.1f}' for x, y in line),
                                      kind=looks_of[name]))
    return elements


def legend(looks_of):
    elements, x = [], float(chart.MARGIN)
    for name, kind in looks_of.items():
        elements += [chart.element('rect', x=x, y=53, width=22, height=5, kind=kind),
                     chart.text(x + 28, 60, name, 'ink bold' if name == OWN else 'ink')]
        x += 52 + 7.2 * len(name)
    return elements


def draw(results):
    """The picture as text of an SVG file."""
    looks_of = looks(results)
    elements, number = legend(looks_of), 0
    for panel in PANELS:
        left = chart.MARGIN + (number % 2) * (chart.WIDTH - chart.MARGIN) / 2
        drawn = plot(results, panel, looks_of, left, 96 + number // 2 * (HEIGHT + SPACE))
        elements += drawn
        number += bool(drawn)
    bottom = 96 + (number + 1) // 2 * (HEIGHT + SPACE)
    about = results.about
    title = f'Resident memory over time under {len(results.columns)} allocators'
    note = (f'{about["date"]}, {about["processors"]} processors {about["processor"]}, a typical '
            'run each')
    elements += [chart.text(chart.MARGIN, 34, title, 'ink title'),
                 chart.text(chart.MARGIN, bottom - 4, note, 'faint small')]
    return chart.document(chart.WIDTH, bottom + 10, elements, title)
