"""hardening_smoke.py <build>: runs bench/lib/hardening.py for one round of one row."""
import pathlib
import subprocess
import sys

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / 'bench' / 'lib' / 'hardening.py'
ROW = 'strings, vectors, maps'

text = subprocess.run([sys.executable, '-B', SCRIPT, '--build', sys.argv[1], '--quick',
                       '--rounds', '1', '--only', ROW], check=True, text=True,
                      stdout=subprocess.PIPE).stdout
lines = [line for line in text.splitlines() if line.startswith('|')]
names = ['CPU seconds, peak MiB', '---', ROW, 'geometric mean, of glibc']
if [line.split('|')[1].strip() for line in lines] != names or \
        len({line.count('|') for line in lines}) != 1:
    raise SystemExit(f'not a table of one row and its means:\n{text}')
# Of one row the means are that row, glibc's being 1.
if '| 1.00, 1.00 |' not in lines[3]:
    raise SystemExit(f'means that are not of glibc:\n{text}')
