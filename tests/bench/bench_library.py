"""Makes the modules of bench/lib importable, and results to test them with."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / 'bench' / 'lib'))

import launcher  # pylint: disable=wrong-import-position
import results as recording  # pylint: disable=wrong-import-position

ABOUT = {'date': '2026-01-02', 'processor': 'a processor', 'processors': 2, 'memory GiB': 4,
         'kernel': '6.1', 'glibc': '2.36', 'huge pages': 'madvise', 'quick': False}
KINDS = {'glibc': 'glibc', 'left': 'peer', 'right': 'peer', 'spanmalloc': 'own'}


def cost(seconds, **figures):
    """Twice as long on the clock, ten MiB a second."""
    return launcher.Cost(2 * seconds, seconds, 10 * seconds, figures)


def made_results(rows, points=()):
    """`rows` is {name: (kind, {allocator: seconds of processor time of each round})}."""
    columns = [recording.Column(name, kind, f'/{name}.so', '') for name, kind in KINDS.items()]
    made = recording.Results([recording.Row(name, kind) for name, (kind, _) in rows.items()],
                             columns, dict(ABOUT), points=list(points))
    for row, (_, seconds) in rows.items():
        for name, runs in seconds.items():
            made.costs[row, name] = [cost(run) for run in runs]
    return made


def two_rows():
    """Spanmalloc is a fifth below its best peer, 'left', in one and a tenth above 'right' in the
    other; glibc takes twice the best."""
    return made_results({
        'ahead': ('scenario', {'glibc': [2.0] * 5, 'left': [1.0] * 5, 'right': [1.5] * 5,
                               'spanmalloc': [0.8] * 5}),
        'behind': ('program', {'glibc': [4.0] * 5, 'left': [2.5] * 5, 'right': [2.0] * 5,
                               'spanmalloc': [2.2] * 5})})
