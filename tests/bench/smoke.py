"""smoke.py <build> <folder for the output>: runs bench/lib/compare.py for a round of two
workloads and looks at the files it leaves."""
import csv
import json
import pathlib
import subprocess
import sys
from xml.etree import ElementTree

COMPARE = pathlib.Path(__file__).resolve().parents[2] / 'bench' / 'lib' / 'compare.py'
ROWS = ['cross-thread free, 2 threads', 'random replace, 1k live']


def check(condition, sentence):
    if not condition:
        raise SystemExit(sentence)


def compare(*words):
    return subprocess.run([sys.executable, '-B', COMPARE, *words], check=True, text=True,
                          stdout=subprocess.PIPE).stdout


def main():
    build, output = sys.argv[1:]
    only = [word for row in ROWS for word in ('--only', row)]
    text = compare('--build', build, '--output', output, '--quick', '--rounds', '1',
                   '--installed-only', '--markdown', '--library',
                   f'spanmalloc-again={build}/libspanmalloc.so', *only)
    folder = pathlib.Path(output)
    record = json.loads((folder / 'runs.json').read_text())
    names = [allocator['name'] for allocator in record['allocators']]
    check({'glibc', 'spanmalloc', 'spanmalloc-again'} <= set(names), f'allocators are {names}')
    check(len(record['runs']) == len(ROWS) * len(names), f'{len(record["runs"])} runs')
    check(all(run['elapsed'] > 0 and run['peak'] > 0 for run in record['runs']), 'an empty cost')
    with open(folder / 'runs.csv', encoding='utf-8') as file:
        lines = list(csv.reader(file))
    check(len(lines) == 1 + len(record['runs']), f'{len(lines)} lines of CSV')
    check((folder / 'compare.md').read_text() in text, 'compare.md differs from what was printed')
    ElementTree.parse(folder / 'compare.svg')

    again = compare('--from', str(folder / 'runs.json'), '--output', output, '--picture',
                    str(folder / 'again.svg'))
    check(all(row in again for row in ROWS), 'rows are missing in what was read back')
    check((folder / 'again.svg').read_text() == (folder / 'compare.svg').read_text(),
          'the picture differs when it is drawn from runs.json')


main()
