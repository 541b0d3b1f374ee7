"""The picture of a comparison: above, CPU time of every allocator in every row as ratio to the
best peer; below, cost as work grows."""
import chart
import curve_picture
import report as reporting

WIDTH, MARGIN = chart.WIDTH, chart.MARGIN
LABELS = 260        # where the plot of ratios begins
LINE = 19           # from row to row
# Ratios beyond are drawn as arrows at the edge.
LOWEST, HIGHEST = 0.4, 4.0


def looks(results):
    """{allocator: (class, shape, size of mark)}; spanmalloc stands out, and comes last, on top."""
    found = {reporting.BASE: ('base', 'cross', 6)}
    others = [column.name for column in results.columns
              if column.name not in (reporting.BASE, reporting.OWN)]
    for number, name in enumerate(others):
        found[name] = (f'a{number % 5}', chart.SHAPES[number % len(chart.SHAPES)], 7)
    found[reporting.OWN] = ('own', 'circle', 11)
    return found


def legend(looks_of, y):
    elements, x = [], LABELS
    for name, (kind, shape, size) in looks_of.items():
        elements += [chart.mark(shape, x, y - 4, size, kind),
                     chart.text(x + 10, y, name, 'ink bold' if name == reporting.OWN else 'ink')]
        x += 34 + 7.2 * len(name)
    return elements


def ratio_line(axis, y, label, ratios, looks_of, bold=False):
    """One workload: its name and a mark for each allocator, spanmalloc's on top."""
    elements = [chart.text(LABELS - 14, y + 4, label, 'ink bold' if bold else 'ink', 'end')]
    for name, look in looks_of.items():
        kind, shape, size = look
        if name in ratios:
            shape = shape if axis.holds(ratios[name]) else 'right'
            elements.append(chart.element('g', [
                chart.element('title', f'{label}: {name} {ratios[name]:.2f}'),
                chart.mark(shape, axis(ratios[name]), y, size, kind)]))
    return elements


def row_ratios(report, row):
    return {column.name: report.to_best(row, 'processor', column.name).value
            for column in report.results.columns}


def group_ratios(report, rows):
    return {column.name: report.mean_to_frontier(rows, 'processor', column.name).value
            for column in report.results.columns}


def grid(axis, top, bottom):
    elements = []
    for tick in [0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5, 2.0, 3.0, 4.0]:
        if axis.holds(tick):
            x = axis(tick)
            elements += [chart.line(x, top, x, bottom, 'one' if tick == 1 else 'grid'),
                         chart.text(x, bottom + 15, chart.short(tick), 'faint small', 'middle')]
    return elements


def ratio_axis(report):
    values = [value for row in report.rows() for value in row_ratios(report, row).values()]
    low = max(LOWEST, min(0.85, min(values) * 0.95))
    high = min(HIGHEST, max(1.5, max(values) * 1.05))
    return chart.LogAxis(low, high, LABELS, WIDTH - MARGIN)


def ratio_plot(report, looks_of, top):
    """Rows from the best to the worst for spanmalloc, group by group; returns the elements and
    the height. The means stand first."""
    axis = ratio_axis(report)
    elements, y = [], top + LINE / 2
    groups = report.groups()
    means = [(f'geometric mean, {heading}', group_ratios(report, rows))
             for heading, rows in groups]
    elements.append(chart.element('rect', x=MARGIN / 2, y=float(top), rx=4, kind='band',
                                  width=WIDTH - MARGIN, height=LINE * len(means) + 2))
    marks = []
    for label, ratios in means:
        marks += ratio_line(axis, y, label, ratios, looks_of, bold=True)
        y += LINE
    for kind, heading in reporting.KINDS.items():
        rows = report.rows(kind)
        if rows:
            y += LINE * 0.6
            marks.append(chart.text(LABELS - 14, y + 4, heading, 'faint bold', 'end'))
            y += LINE
        found = sorted(((row_ratios(report, row), row) for row in rows),
                       key=lambda pair: pair[0][reporting.OWN])
        for ratios, row in found:
            marks += ratio_line(axis, y, row, ratios, looks_of)
            y += LINE
    bottom = y - LINE / 2 + 4
    elements += grid(axis, top, bottom) + marks
    elements.append(chart.text(WIDTH - MARGIN, bottom + 32, 'CPU time / CPU time of the best peer '
                               'of the row; left is faster', 'faint small', 'end'))
    return elements, bottom + 40 - top


def draw(results):
    """The picture as text of an SVG file."""
    report = reporting.Report(results)
    looks_of = looks(results)
    title = f'CPU time under {len(results.columns)} allocators, {len(results.rows)} workloads'
    elements = [chart.text(MARGIN, 34, title, 'ink title'), *legend(looks_of, 60)]
    plot, height = ratio_plot(report, looks_of, 76) if results.rows else ([], 0)
    curves, curve_height = curve_picture.draw(results, looks_of, 76 + height)
    bottom = round(76 + height + curve_height)
    about = results.about
    note = (f'{about["date"]}, {about["processors"]} processors {about["processor"]}, '
            f'medians of {results.rounds} rounds')
    elements += plot + curves + [chart.text(MARGIN, bottom + 10, note, 'faint small')]
    return chart.document(WIDTH, bottom + 24, elements, title)
