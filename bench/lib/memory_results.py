"""What the memory benchmark measured, and its files: runs.json has all and can be read back,
runs.csv has a line per run, samples.csv a line per sample of resident memory."""
import csv
import dataclasses
import json
import pathlib
import statistics

import results as recording
import watch

FIELDS = ['elapsed', 'processor', 'faults', 'peak', 'outcome']


@dataclasses.dataclass
class Results:
    """`runs` is {(row name, allocator name): [Run, ...]}; `about` says when and on what machine,
    and with the key 'group' whether control groups could be made."""
    columns: list
    about: dict
    runs: dict = dataclasses.field(default_factory=dict)

    def names(self):
        return [column.name for column in self.columns]

    def of(self, row, name):
        return self.runs.get((row, name), [])

    def median(self, row, name, value):
        """The median over the runs of value(run); None where there are none, or one has none."""
        values = [value(run) for run in self.of(row, name)]
        if not values or None in values:
            return None
        return statistics.median(values)

    def ratio(self, pair, base, value):
        """The median over the rounds of the ratio of value(run) of one (row, allocator) to that
        of another; None where either has none."""
        values = [(value(run), value(other))
                  for run, other in zip(self.runs.get(pair, []), self.runs.get(base, []))]
        if not values or any(None in found or not found[1] for found in values):
            return None
        return statistics.median(one / other for one, other in values)

    def save(self, path):
        """Writes all as JSON, so that a stop never leaves half a file."""
        record = {'about': self.about, 'allocators': [vars(column) for column in self.columns],
                  'runs': [dict(row=row, allocator=name, **vars(run))
                           for (row, name), runs in self.runs.items() for run in runs]}
        new = pathlib.Path(f'{path}.new')
        new.write_text(json.dumps(record) + '\n')
        new.replace(path)

    def save_csv(self, folder):
        with open(folder / 'runs.csv', 'w', newline='', encoding='utf-8') as file:
            writer = csv.writer(file, lineterminator='\n')
            writer.writerow(['row', 'allocator', 'run', 'elapsed s', 'processor s', 'page faults',
                             'peak MiB', 'outcome'])
            for (row, name), runs in self.runs.items():
                for number, run in enumerate(runs):
                    writer.writerow([row, name, number, *(getattr(run, field) for field in FIELDS)])
        with open(folder / 'samples.csv', 'w', newline='', encoding='utf-8') as file:
            writer = csv.writer(file, lineterminator='\n')
            writer.writerow(['row', 'allocator', 'run', 'seconds', 'resident MiB'])
            for (row, name), runs in self.runs.items():
                for number, run in enumerate(runs):
                    writer.writerows([row, name, number, *sample] for sample in run.samples)


def load(path):
    """Reads what save() wrote."""
    record = json.loads(pathlib.Path(path).read_text())
    results = Results([recording.Column(**column) for column in record['allocators']],
                      record['about'])
    for found in record['runs']:
        row, name = found.pop('row'), found.pop('allocator')
        results.runs.setdefault((row, name), []).append(watch.Run(**found))
    return results
