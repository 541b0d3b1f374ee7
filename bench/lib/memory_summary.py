"""The report of the memory benchmark in Markdown."""
import memory_aims as aims
import memory_rows as rows
import table
from allocators import OWN_NAME as OWN

SECONDS = [0, 2, 5, 10]
OF_RUNS = [('CPU time, s', lambda run: run.processor, 2), ('elapsed, s', lambda run: run.elapsed, 2),
           ('page faults, thousands', lambda run: run.faults / 1000, 0),
           ('peak, MiB', lambda run: run.peak, 0)]


def cell(value, digits):
    return '' if value is None else f'{value:.{digits}f}'


def verdict(aim, value):
    """What there is to say of spanmalloc."""
    if value is None or aim.limit is None:
        return ''
    if value <= aim.limit:
        return 'met'
    return f'missed by {value - aim.limit:.{aim.digits}f}'


def aims_table(results):
    """A line for each aim of a row that was run."""
    names = results.names()
    lines = [['', 'aim', *names, '']]
    for aim in aims.AIMS:
        values = [aim.value(results, name) for name in names]
        if all(value is None for value in values):
            continue
        own = values[names.index(OWN)]
        limit = '' if aim.limit is None else f'≤ {aim.limit:.{aim.digits}f}'
        lines.append([f'{aim.row}: {aim.label}', limit,
                      *(cell(value, aim.digits) for value in values), verdict(aim, own)])
    return table.align(lines) if len(lines) > 1 else ''


def missed(results):
    """Labels of the aims that spanmalloc misses."""
    return [f'{aim.row}: {aim.label}' for aim in aims.AIMS
            if verdict(aim, aim.value(results, OWN)).startswith('missed')]


def idle_table(results):
    """Resident MiB while nothing happens."""
    lines = [['resident MiB', *results.names()]]
    for row in (rows.FRAGMENTED, rows.BLOCKED, rows.IDLE):
        values = [(f'after {seconds} s', lambda run, at=seconds: run.resident_at(at))
                  for seconds in SECONDS]
        values += [('floor', aims.floor), ('peak', lambda run: run.peak)]
        for label, value in values:
            medians = [results.median(row, name, value) for name in results.names()]
            if any(median is not None for median in medians):
                lines.append([f'{row}: {label}', *(cell(median, 1) for median in medians)])
    return table.align(lines) if len(lines) > 1 else ''


def threads_table(results):
    lines = [['resident MiB after so many short threads', *results.names()]]
    marks = max((len(run.values('threads')) for name in results.names()
                 for run in results.of(rows.THREADS, name)), default=0)
    for number in range(marks):
        lines.append([f'{1000 * 10 ** number:,}'] + [
            cell(results.median(rows.THREADS, name,
                                lambda run, at=number: run.values('threads')[at] / 2**20), 1)
            for name in results.names()])
    return table.align(lines) if marks else ''


def runs_table(results):
    """Time, faults and peak of the rows that end by themselves."""
    lines = [['', *results.names()]]
    for row in rows.ROWS:
        if row.name in (rows.FRAGMENTED, rows.BLOCKED, rows.IDLE):
            continue
        for label, value, digits in OF_RUNS:
            medians = [results.median(row.name, name, value) for name in results.names()]
            if any(median is not None for median in medians):
                lines.append([f'{row.name}: {label}', *(cell(median, digits)
                                                        for median in medians)])
    return table.align(lines) if len(lines) > 1 else ''


def conditions(results):
    """Date, machine and versions in a sentence or two."""
    about = results.about
    versions = ''.join(f'; {column.name} {column.version}' for column in results.columns
                       if column.version)
    counts = sorted({len(runs) for runs in results.runs.values()})
    runs = f'{counts[0]} to {counts[-1]} runs' if counts[0] < counts[-1] else f'{counts[0]} runs'
    text = (f'Measured {about["date"]} on {about["processors"]} processors {about["processor"]}, '
            f'{about["memory GiB"]} GiB, Linux {about["kernel"]}, transparent huge pages '
            f'{about["huge pages"]}{versions}. Medians of {runs}'
            f'{" of the quick inputs" if about["quick"] else ""}; less is better.')
    if not about['group']:
        text += ' Control groups with a limit of memory cannot be made here: those rows are left out.'
    return text


def markdown(results):
    """All tables."""
    parts = [conditions(results), aims_table(results)]
    for heading, text in (('While idle', idle_table(results)),
                          ('Short threads', threads_table(results)),
                          ('Time, page faults and peak', runs_table(results))):
        if text:
            parts.append(f'<details><summary>{heading}</summary>\n\n{text}\n\n</details>')
    return '\n\n'.join(part for part in parts if part) + '\n'
