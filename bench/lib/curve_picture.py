"""The lower half of the picture: cost of an operation as the work grows."""
import statistics

import chart

HEIGHT = 210
# What objects cost by themselves is drawn as a dashed line beside the allocators.
FLOOR = 'memory alone'

CURVES = [('threads', 'threads on {processors} processors', 'ns per malloc and free'),
          ('live', 'live objects', 'ns per random replacement'),
          ('find', 'GiB of heap, page allocator', 'ns per find and free')]


def series(results, curve):
    """{allocator: [(size, median)]}; 'visit' joins 'live' as the cost of memory itself."""
    found = {}
    for point in results.points:
        if point.curve == curve or (curve, point.curve) == ('live', 'visit'):
            name = FLOOR if point.curve == 'visit' else point.allocator
            found.setdefault(name, []).append((point.size, statistics.median(point.nanoseconds)))
    return {name: sorted(points) for name, points in found.items()}


def axes(lines, left, right, top):
    """Of sizes, across, and of costs, upwards."""
    sizes = [size for points in lines.values() for size, _ in points]
    costs = [cost for points in lines.values() for _, cost in points]
    # At least a tenfold range, so that a flat line looks flat.
    low, high = min(costs) / 1.3, max(costs) * 1.3
    if high < 10 * low:
        middle = (low * high) ** 0.5
        low, high = middle / 10 ** 0.5, middle * 10 ** 0.5
    return (chart.LogAxis(min(sizes), max(max(sizes), 2 * min(sizes)), left, right),
            chart.LogAxis(low, high, top + HEIGHT, top))


def plot(lines, title, unit, looks_of, left, right, top):
    """One of the curves, with logarithmic axes."""
    across, up = axes(lines, left + 34, right - 8, top + 30)
    elements = [chart.text(left, top, title, 'ink bold'),
                chart.text(left, top + 16, unit, 'faint small')]
    ticks = up.ticks()
    for tick in ticks if len(ticks) >= 3 else up.ticks(range(1, 10)):
        elements += [chart.line(left + 34, up(tick), right - 8, up(tick)),
                     chart.text(left + 28, up(tick) + 4, chart.short(tick), 'faint small', 'end')]
    for size in sorted({size for points in lines.values() for size, _ in points}):
        elements.append(chart.text(across(size), up.start + 16, chart.short(size), 'faint small',
                                   'middle'))
    for name in [*looks_of, FLOOR]:
        kind, shape, size = looks_of.get(name, ('base', None, 0))
        points = [(across(size_of), up(cost)) for size_of, cost in lines.get(name, [])]
        if points:
            dashes = {} if shape else {'stroke_dasharray': '4 4'}
            elements.append(chart.element(
                'polyline', points=' '.join(f'{x:.1f},{y:.1f}' for x, y in points), kind=kind,
                **dashes))
            elements += [chart.mark(shape, x, y, size * 0.75, kind) for x, y in points if shape]
            if not shape:
                elements.append(chart.text(points[-1][0], points[-1][1] + 28, name,
                                           'faint small', 'end'))
    return elements


def draw(results, looks_of, top):
    """All curves that were measured, side by side; returns the elements and their height."""
    found = [(series(results, curve), title.format(**results.about), unit)
             for curve, title, unit in CURVES]
    found = [part for part in found if part[0]]
    if not found:
        return [], 0
    elements = [chart.text(chart.MARGIN, top + 22, 'Cost as work grows', 'ink title')]
    width = (chart.WIDTH - 2 * chart.MARGIN) / len(found)
    for number, (lines, title, unit) in enumerate(found):
        left = chart.MARGIN + number * width
        elements += plot(lines, title, unit, looks_of, left, left + width - 10, top + 52)
    return elements, HEIGHT + 130
