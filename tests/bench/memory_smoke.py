"""memory_smoke.py <build> <folder for the output>: runs bench/lib/memory.py for a round of all rows
with tiny sizes and looks at the files it leaves."""
import csv
import json
import pathlib
import subprocess
import sys
from xml.etree import ElementTree

LIBRARY = pathlib.Path(__file__).resolve().parents[2] / 'bench' / 'lib'
IDLE_ROWS = {'fragmented', 'blocked threads', 'idle server'}


def check(condition, sentence):
    if not condition:
        raise SystemExit(sentence)


def memory(*words):
    return subprocess.run([sys.executable, '-B', LIBRARY / 'memory.py', *words], check=True,
                          text=True, stdout=subprocess.PIPE).stdout


def check_run(run):
    marks = {name: value for _, name, value in run['marks']}
    check(run['processor'] > 0, f'{run["row"]} took no time')
    if run['row'] in IDLE_ROWS:
        check(run['outcome'] == 'ended', f'{run["row"]} was {run["outcome"]}')
        check(marks['live'] <= marks['floor'] <= run['peak'] * 2**20 * 1.1,
              f'marks are {marks}, the peak is {run["peak"]} MiB')
        check(run['samples'][-1][0] > 0, 'no sample while idle')


def main():
    build, output = sys.argv[1:]
    text = memory('--build', build, '--output', output, '--quick', '--installed-only', '--divide',
                  '40', '--markdown')
    folder = pathlib.Path(output)
    record = json.loads((folder / 'runs.json').read_text())
    names = {allocator['name'] for allocator in record['allocators']}
    check({'glibc', 'spanmalloc'} <= names, f'allocators are {names}')
    check({'scavenger=0' in run['row'] for run in record['runs']} == {True, False},
          'the scavenger was not both on and off')
    for run in record['runs']:
        check_run(run)
    with open(folder / 'runs.csv', encoding='utf-8') as file:
        check(len(list(csv.reader(file))) == 1 + len(record['runs']), 'lines of CSV')
    check((folder / 'memory.md').read_text() in text, 'memory.md differs from what was printed')
    ElementTree.parse(folder / 'memory.svg')

    again = memory('--from', str(folder / 'runs.json'), '--output', output, '--picture',
                   str(folder / 'again.svg'))
    check('RSS / floor after 10 s' in again, 'an aim is missing in what was read back')
    check((folder / 'again.svg').read_text() == (folder / 'memory.svg').read_text(),
          'the picture differs when it is drawn from runs.json')


main()
