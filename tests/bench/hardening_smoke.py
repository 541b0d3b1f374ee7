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
if len(lines) != 3 or ROW not in lines[2] or lines[2].count('|') != lines[0].count('|'):
    raise SystemExit(f'not a table of one row:\n{text}')
