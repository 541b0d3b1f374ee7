"""The real programs of the demonstration. A workload has a name, expected seconds under glibc,
prepare(), verify(allocator) and run(allocator), which returns a Cost and what must not differ
between allocators (None where it may)."""
import dataclasses
import pathlib
import subprocess
import time

import allocators
import launcher as launching

INPUT = allocators.REPOSITORY / 'bench' / 'input'


class Program:
    """One command, run to its end.

    `probe` is a short command of the same program, to see which allocator it gets. `figures`, if
    given, is a function from the standard output to {name with unit: number}, what the program
    measured itself, less being better."""

    def __init__(self, launcher, name, seconds, command, probe, environment=None, scratch=None,
                 output_varies=False, figures=None):
        self.launcher, self.name, self.seconds = launcher, name, seconds
        self.command, self.probe = command, probe
        self.environment, self.scratch = environment, scratch
        self.output_varies = output_varies
        self.figures = figures

    def prepare(self):
        """Nothing is needed beforehand."""

    def verify(self, allocator):
        allocators.verify(allocator, self.probe, self.environment)

    def run(self, allocator):
        if self.scratch:
            pathlib.Path(self.scratch).unlink(missing_ok=True)
        cost, output = self.launcher.run(allocator, self.command, self.environment)
        if self.figures:
            cost = dataclasses.replace(cost, figures=self.figures(output))
        return cost, None if self.output_varies else output


class RedisServer:
    """redis-server on a socket of its own; redis-benchmark, always under the default allocator,
    drives it. Elapsed is the benchmark's time, processor time and memory are the server's."""

    name = 'redis-server'
    seconds = 3.0

    def __init__(self, launcher, folder):
        self.launcher = launcher
        self.socket = str(folder / 'redis.socket')
        self.folder = folder

    def prepare(self):
        """Nothing is needed beforehand."""

    def verify(self, allocator):
        allocators.verify(allocator, ['redis-server', '--version'])

    def client(self, *words):
        return subprocess.run(['redis-cli', '-s', self.socket, *words], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)

    def load(self):
        """The benchmark's phases; returns the seconds they took."""
        phases = [['-n', '300000', '-r', '100000', '-d', '128', '-t', 'set,get'],
                  ['-n', '100000', '-r', '20000', '-d', '900', '-t', 'set,lpush,rpop'],
                  ['-n', '150000', '-r', '50000', '-t', 'sadd,hset,zadd']]
        start = time.monotonic()
        for phase in phases:
            subprocess.run(['redis-benchmark', '-s', self.socket, '-q', '-P', '16', *phase],
                           check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return time.monotonic() - start

    def run(self, allocator):
        running = self.launcher.start(
            allocator, ['redis-server', '--port', '0', '--unixsocket', self.socket, '--save', '',
                        '--appendonly', 'no', '--dir', self.folder, '--loglevel', 'warning'])
        try:
            deadline = time.monotonic() + 10
            while self.client('ping').stdout.strip() != 'PONG':
                if running[0].poll() is not None or time.monotonic() > deadline:
                    running[0].kill()
                    launching.Launcher.finish(*running)
                time.sleep(0.02)
            elapsed = self.load()
        finally:
            self.client('shutdown', 'nosave')
        cost, _ = launching.Launcher.finish(*running)
        return launching.Cost(elapsed, cost.processor, cost.peak), None


def demo(build, folder):
    """The workloads of bench/demo; programs of ours come from the build tree."""
    launcher = launching.Launcher(build / 'bench' / 'bench.launcher')
    server = str(build / 'bench' / 'bench.server')
    python = ['/usr/bin/python3', INPUT / 'objects.py', '40000']
    script = f'.read {INPUT / "database.sql"}'
    database = folder / 'shop.db'
    compiler = ['g++', '-std=c++20', '-O1', '-S', '-o', '/dev/null']
    return [
        Program(launcher, 'python3, JSON and objects', 2.0, python, ['/usr/bin/python3', '-c', '']),
        Program(launcher, 'python3, PYTHONMALLOC=malloc', 2.0, python,
                ['/usr/bin/python3', '-c', ''], environment={'PYTHONMALLOC': 'malloc'}),
        Program(launcher, 'sqlite3 in memory', 1.4, ['sqlite3', ':memory:', script],
                ['sqlite3', '-version']),
        Program(launcher, 'sqlite3 in a file', 1.6, ['sqlite3', database, script],
                ['sqlite3', '-version'], scratch=database),
        RedisServer(launcher, folder),
        Program(launcher, 'g++ on a heavy file', 4.0, compiler + [INPUT / 'heavy.cc'],
                compiler + ['-x', 'c++', '/dev/null']),
        Program(launcher, 'request server, 4 threads', 2.0, [server, '4', '150000'],
                [server, '1', '10'], output_varies=True),
    ]
