"""What a comparison measured, and its files: runs.json has all and can be read back, runs.csv has
a line per run."""
import csv
import dataclasses
import datetime
import json
import os
import pathlib
import platform
import re
import subprocess

import launcher as launching


@dataclasses.dataclass(frozen=True)
class Row:
    """A workload; its kind is 'scenario' or 'program'."""
    name: str
    kind: str


@dataclasses.dataclass(frozen=True)
class Column:
    """An allocator; its kind is 'glibc', 'peer' or 'own', its version that of the package."""
    name: str
    kind: str
    library: str
    version: str


@dataclasses.dataclass(frozen=True)
class Point:
    """Nanoseconds of processor time per operation at one size of the work, one value a run."""
    curve: str
    size: int
    allocator: str
    nanoseconds: list


@dataclasses.dataclass
class Results:
    """`costs` is {(workload name, allocator name): [Cost of round 0, round 1, ...]}, all lists of
    one length; `about` says when and on what machine."""
    rows: list
    columns: list
    about: dict
    costs: dict = dataclasses.field(default_factory=dict)
    points: list = dataclasses.field(default_factory=list)

    @property
    def rounds(self):
        return len(next(iter(self.costs.values()), []))

    def names(self, kind):
        """The allocators of a kind, in the order of the tables."""
        return [column.name for column in self.columns if column.kind == kind]

    def save(self, path):
        """Writes all as JSON, so that a stop never leaves half a file."""
        runs = [dict(workload=workload, allocator=name, round=number, **vars(cost))
                for (workload, name), costs in self.costs.items()
                for number, cost in enumerate(costs)]
        record = {'about': self.about, 'workloads': [vars(row) for row in self.rows],
                  'allocators': [vars(column) for column in self.columns], 'runs': runs,
                  'curves': [vars(point) for point in self.points]}
        new = pathlib.Path(f'{path}.new')
        new.write_text(json.dumps(record, indent=1) + '\n')
        new.replace(path)

    def save_csv(self, path):
        kinds = {row.name: row.kind for row in self.rows}
        with open(path, 'w', newline='', encoding='utf-8') as file:
            writer = csv.writer(file, lineterminator='\n')
            writer.writerow(['kind', 'workload', 'allocator', 'round', 'elapsed s', 'processor s',
                             'peak MiB'])
            for (workload, name), costs in self.costs.items():
                for number, cost in enumerate(costs):
                    writer.writerow([kinds[workload], workload, name, number, cost.elapsed,
                                     cost.processor, round(cost.peak, 3)])


def load(path):
    """Reads what save() wrote."""
    record = json.loads(pathlib.Path(path).read_text())
    results = Results([Row(**row) for row in record['workloads']],
                      [Column(**column) for column in record['allocators']], record['about'],
                      points=[Point(**point) for point in record['curves']])
    for run in sorted(record['runs'], key=lambda run: run['round']):
        cost = launching.Cost(run['elapsed'], run['processor'], run['peak'], run['figures'])
        results.costs.setdefault((run['workload'], run['allocator']), []).append(cost)
    return results


def package_version(library):
    """The version of the Debian package a library belongs to; '' where it belongs to none."""
    # The package database knows /lib or /usr/lib, whichever the package was built with.
    real = os.path.realpath(library)
    for path in (real, real.removeprefix('/usr')):
        owner = subprocess.run(['dpkg-query', '-S', path], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True, check=False).stdout
        if owner:
            query = ['dpkg-query', '-W', '-f=${Version}', owner.split(': ')[0].split(',')[0]]
            return subprocess.run(query, stdout=subprocess.PIPE, text=True, check=True).stdout
    return ''


def columns(allocators):
    return [Column(allocator.name, allocator.kind, allocator.library,
                   package_version(allocator.library)) for allocator in allocators]


def describe_machine(quick):
    """Date and machine, as far as they explain figures."""
    processor = re.search(r'model name\s*: (.*)', pathlib.Path('/proc/cpuinfo').read_text())
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    huge = pathlib.Path('/sys/kernel/mm/transparent_hugepage/enabled')
    chosen = re.search(r'\[(\w+)\]', huge.read_text() if huge.exists() else '')
    return {'date': datetime.date.today().isoformat(),
            'processor': processor.group(1) if processor else platform.machine(),
            'processors': os.cpu_count(), 'memory GiB': round(memory / 2**30),
            'kernel': platform.release().split('-')[0],
            'glibc': platform.libc_ver()[1],
            'huge pages': chosen.group(1) if chosen else 'none', 'quick': quick}
