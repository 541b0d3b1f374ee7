"""The rows that are interpreters and databases."""
import subprocess
import time

import workloads
from generated import INPUT, PYTHON, Generated, scaled
from workloads import Program

PACKAGES = ['python3', 'python3-numpy', 'sqlite3', 'redis-server', 'redis-tools', 'perl', 'lua5.4',
            'ruby', 'php-cli', 'swi-prolog-nox', 'jq', 'gawk', 'mawk']

# The order of hash tables, and so the work, is the same in every run.
PYTHON_SEED = {'PYTHONHASHSEED': '0'}
PERL_SEED = {'PERL_HASH_SEED': '0', 'PERL_PERTURB_KEYS': '0'}


class RedisServer(workloads.RedisServer):
    """The server with a fourth of the load when it has to be quick."""

    PHASES = [('300000', '100000', '128', 'set,get'), ('100000', '20000', '900', 'set,lpush,rpop'),
              ('150000', '50000', '16', 'sadd,hset,zadd')]

    def __init__(self, launcher, folder, quick):
        super().__init__(launcher, folder)
        self.quick = quick

    def load(self):
        start = time.monotonic()
        for requests, keys, size, tests in self.PHASES:
            subprocess.run(['redis-benchmark', '-s', self.socket, '-q', '-P', '16',
                            '-n', scaled(self.quick, int(requests)), '-r', keys, '-d', size,
                            '-t', tests],
                           check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return time.monotonic() - start


def python_rows(launcher, quick):
    """CPython with its own small object allocator, without it, and with large arrays."""
    probe = [PYTHON, '-c', 'import json, re, random']
    objects = [PYTHON, INPUT / 'objects.py', scaled(quick, 40000)]
    return [
        Program(launcher, 'python3, JSON and objects', 2.0, objects, probe,
                environment=PYTHON_SEED),
        Program(launcher, 'python3, PYTHONMALLOC=malloc', 2.0, objects, probe,
                environment=dict(PYTHON_SEED, PYTHONMALLOC='malloc')),
        Program(launcher, 'python3, text', 1.5,
                [PYTHON, INPUT / 'text.py', scaled(quick, 4000)], probe,
                environment=dict(PYTHON_SEED, PYTHONMALLOC='malloc')),
        Program(launcher, 'python3, numpy arrays', 1.0,
                [PYTHON, INPUT / 'arrays.py', scaled(quick, 200)],
                [PYTHON, '-c', 'import numpy'],
                environment=dict(PYTHON_SEED, OPENBLAS_NUM_THREADS='1')),
    ]


def database_rows(launcher, folder, quick):
    """SQLite in memory and in a file, and redis."""
    script = ['.parameter init', f'.parameter set :customers {scaled(quick, 50000)}',
              f'.read {INPUT / "database.sql"}']
    database = folder / 'programs.db'
    return [
        Program(launcher, 'sqlite3 in memory', 1.4, ['sqlite3', ':memory:', *script],
                ['sqlite3', '-version']),
        Program(launcher, 'sqlite3 in a file', 1.6, ['sqlite3', database, *script],
                ['sqlite3', '-version'], scratch=database),
        RedisServer(launcher, folder, quick),
    ]


def script_rows(launcher, quick):
    """Interpreters on a script each, which takes the amount of work as its argument."""
    def row(name, seconds, start, script, size, environment=None):
        return Program(launcher, name, seconds,
                       [*start, INPUT / script, scaled(quick, size)], [*start, INPUT / script, '1'],
                       environment=environment)
    return [
        row('perl, hashes and expressions', 1.3, ['perl'], 'hashes.pl', 80000, PERL_SEED),
        row('lua5.4, tables and closures', 1.2, ['lua5.4'], 'tables.lua', 200),
        row('ruby, objects and strings', 1.3, ['ruby'], 'objects.rb', 45000),
        # Without php.ini no extension is loaded: Debian's php loads them with RTLD_DEEPBIND, past
        # any preloaded allocator. Its own allocator is off.
        row('php, arrays and templates', 1.0, ['php', '-n'], 'shop.php', 30000,
            {'USE_ZEND_ALLOC': '0'}),
        row('swipl, facts and terms', 1.0, ['swipl'], 'clauses.pl', 24),
    ]


def filter_rows(launcher, folder, quick):
    """Small languages that read one large file."""
    rows = scaled(quick, 100000)
    table = folder / f'table-{rows}.txt'
    recipe = [(('documents.py', 'table', rows), table)]
    records = scaled(quick, 12000)
    document = folder / f'records-{records}.json'
    return [
        Generated(launcher, 'gawk, associative arrays', 1.5,
                  ['gawk', '-f', INPUT / 'arrays.awk', table], ['gawk', 'BEGIN { }'], recipe),
        Generated(launcher, 'mawk, associative arrays', 1.2,
                  ['mawk', '-f', INPUT / 'arrays.awk', table], ['mawk', 'BEGIN { }'], recipe),
        Generated(launcher, 'jq, groups of records', 1.5,
                  ['jq', '-c', '-f', INPUT / 'groups.jq', document], ['jq', '-n', '1'],
                  [(('documents.py', 'json', records), document)]),
    ]


def programs(folder, launcher, quick):
    """The rows of this file."""
    return (python_rows(launcher, quick) + database_rows(launcher, folder, quick) +
            script_rows(launcher, quick) + filter_rows(launcher, folder, quick))
